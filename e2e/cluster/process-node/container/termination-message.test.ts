import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { cutMessage, terminationMessage } from "./termination-message.ts";

describe("terminationMessage", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "message-"));
  });
  afterEach(() => rm(directory, { recursive: true }));
  const messageOf = async (files: { message?: string; log?: string }, fallsBackToLog: boolean) => {
    const [messagePath, logPath] = [join(directory, "message"), join(directory, "log")];
    if (files.message !== undefined) await writeFile(messagePath, files.message);
    if (files.log !== undefined) await writeFile(logPath, files.log);
    return terminationMessage({ messagePath, logPath, fallsBackToLog });
  };
  const lines = (count: number) => Array.from({ length: count }, (_, index) => `${index}\n`).join("");

  test.each([
    ["its file", { message: "mine", log: "log" }, true, "mine"],
    ["the first 4096 bytes of its file", { message: `${"a".repeat(4_096)}b` }, true, "a".repeat(4_096)],
    ["nothing, when its file is empty and it does not want its log", { message: "", log: "log" }, false, ""],
    ["the end of its log", { message: "", log: "log\n" }, true, "log\n"],
    ["the last 80 lines of its log", { log: lines(200) }, true, lines(200).split("\n").slice(120).join("\n")],
    [
      "the last 80 lines of a log that ends within one",
      { log: `${lines(99)}x` },
      true,
      `${lines(99)}x`.split("\n").slice(20).join("\n"),
    ],
    ["the last 2048 bytes of its log", { log: `x${"y".repeat(2_048)}` }, true, "y".repeat(2_048)],
    ["nothing, when there is neither", {}, true, ""],
  ])("is %s", async (_, files, fallsBackToLog, expected) => {
    expect(await messageOf(files, fallsBackToLog)).toBe(expected);
  });
});

describe("cutMessage", () => {
  test("leaves a message of 4 KiB whole where three containers share 12 KiB", () => {
    expect(cutMessage("a".repeat(4_096), 3)).toHaveLength(4_096);
  });

  test("cuts it to 3 KiB where four do", () => {
    expect(cutMessage("a".repeat(4_096), 4)).toHaveLength(3_072);
  });
});
