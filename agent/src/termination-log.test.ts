import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AgentRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { refusedOf, summaryOf } from "../test/sample.ts";
import { TerminationLog } from "./termination-log.ts";

let path: string;
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), "agent-termination-")), "log");
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(join(path, ".."), { recursive: true, force: true });
});

function served(over: Partial<Extract<AgentRecord, { kind: "served" }>>): AgentRecord {
  const nothing = { latestVerified: null, best: null, done: null, refused: [], verificationFailures: 0 };
  return { kind: "served", attempt: 1, ...nothing, ...over };
}

test("a record that is shorter than the one before leaves nothing of it", () => {
  const log = new TerminationLog(path);
  for (const record of [
    served({ latestVerified: summaryOf(10), refused: [refusedOf(5, { message: "ü".repeat(200) })] }),
    served({ latestVerified: summaryOf(20) }),
    served({}),
  ]) {
    log.write(record);
    expect(JSON.parse(readFileSync(path, "utf8"))).toEqual(record);
  }
});

test("what an earlier container left is replaced", () => {
  writeFileSync(path, "x".repeat(9_000));
  new TerminationLog(path).write(served({}));
  expect(JSON.parse(readFileSync(path, "utf8"))).toEqual(served({}));
});

test("a log that cannot be written stops nothing, and is tried again", () => {
  const said = vi.spyOn(console, "error").mockReturnValue(undefined);
  rmSync(join(path, ".."), { recursive: true });
  const log = new TerminationLog(path);
  log.write(served({}));
  expect(said).toHaveBeenCalledOnce();
  log.write(served({}));
  expect(said).toHaveBeenCalledTimes(2);
});
