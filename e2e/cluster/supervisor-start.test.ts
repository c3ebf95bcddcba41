import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";

it("does nothing when whoever starts the supervisor ends before it is written down", async () => {
  const directory = mkdtempSync(join(tmpdir(), "trainingrun-supervisor-"));
  const program = join(import.meta.dirname, "supervisor.ts");
  const supervisor = spawn(process.execPath, [program, directory], { stdio: ["pipe", "ignore", "pipe"] });
  supervisor.stdin.end();
  const [code] = await once(supervisor, "exit");
  expect([code, readdirSync(directory)]).toEqual([0, []]);
  rmSync(directory, { recursive: true });
});
