import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { identify, isAlive, type ProcessIdentity } from "../cluster/processes/process-identity.ts";
import { runRungProcess } from "./rung-process.ts";

const directory = mkdtempSync(join(tmpdir(), "trainingrun-rung-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const waiting = { timeout: 30_000 };
const forever = new AbortController().signal;

describe("a rung's program", () => {
  test.each([0, 3])("that ends with exit code %i says so", async (code) => {
    expect(await runRungProcess("sh", ["-c", `exit ${code}`], { limitMs: 60_000, signal: forever })).toBe(code);
  });

  test("that is killed does not pass", async () => {
    expect(await runRungProcess("sh", ["-c", "kill -9 $$"], { limitMs: 60_000, signal: forever })).toBe(1);
  });

  test("that does not exist is named", async () => {
    const run = runRungProcess("no-such-program", [], { limitMs: 60_000, signal: forever });
    await expect(run).rejects.toThrow("Cannot run no-such-program: spawn no-such-program ENOENT");
  });

  test("that takes too long is ended and does not pass", async () => {
    expect(await runRungProcess("sleep", ["600"], { limitMs: 100, signal: forever })).toBe(1);
  });

  test("is ended with all that it started when the climb is stopped", async () => {
    const stop = new AbortController();
    const file = join(directory, "pid");
    const script = `sleep 600 & echo $! > ${file}; wait`;
    const run = runRungProcess("sh", ["-c", script], { limitMs: 60_000, signal: stop.signal });
    let started: ProcessIdentity | undefined;
    await expect
      .poll(() => {
        started = identify(Number(read(file)));
        return started;
      }, waiting)
      .toBeDefined();
    stop.abort();
    expect(await run).toBe(1);
    await expect.poll(() => started !== undefined && isAlive(started), waiting).toBe(false);
  });
});

function read(file: string): string {
  try {
    return readFileSync(file, "utf8").trim();
  } catch {
    // Not written yet.
    return "-1";
  }
}
