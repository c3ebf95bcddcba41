import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { startChild } from "../processes/child.ts";
import { tracesOf } from "./traces.ts";

it("finds a directory and a process of a cluster while they are there, and nothing afterwards", async () => {
  const directory = mkdtempSync(join(tmpdir(), "trainingrun-traces-"));
  const file = join(directory, "config");
  writeFileSync(file, "");
  const child = startChild({ name: "part", command: "tail", args: ["-f", file], logPath: join(directory, "log") });
  await expect
    .poll(() => tracesOf(directory))
    .toEqual([`process ${child.identity.pid} (tail -f ${file})`, `directory ${directory}`]);

  await child.stop();
  rmSync(directory, { recursive: true });

  expect(await tracesOf(directory)).toEqual([]);
});
