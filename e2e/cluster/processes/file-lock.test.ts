import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { withLock } from "./file-lock.ts";
import { identify } from "./process-identity.ts";

const directory = mkdtempSync(join(tmpdir(), "trainingrun-lock-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const options = { timeoutMs: 10_000, report: () => {} };

describe("a lock file", () => {
  it("lets one work at a time", async () => {
    const path = join(directory, "turns");
    const events: string[] = [];
    const first = Promise.withResolvers<void>();
    const one = withLock(path, options, async () => {
      events.push("first begins");
      await first.promise;
      events.push("first ends");
    });
    const two = withLock(path, { ...options, report: () => first.resolve() }, async () => {
      events.push("second begins");
    });
    await Promise.all([one, two]);
    expect(events).toEqual(["first begins", "first ends", "second begins"]);
  });

  it("is given back when the work fails", async () => {
    const path = join(directory, "failure");
    const failure = withLock(path, options, async () => Promise.reject(new Error("no space")));
    await expect(failure).rejects.toThrow("no space");
    await expect(withLock(path, options, async () => "done")).resolves.toBe("done");
  });

  it.each([
    { sentence: "is taken over from a process that is gone", holder: JSON.stringify({ pid: 1, startTime: "never" }) },
    { sentence: "is taken over when a crash left it empty", holder: "" },
  ])("$sentence", async ({ holder }) => {
    const path = join(directory, "stale");
    writeFileSync(path, holder);
    await expect(withLock(path, options, async () => "done")).resolves.toBe("done");
  });

  it("is not waited for longer than asked", async () => {
    const path = join(directory, "held");
    writeFileSync(path, JSON.stringify(identify(process.pid)));
    const attempt = withLock(path, { ...options, timeoutMs: 0 }, async () => "done");
    await expect(attempt).rejects.toThrow(`Cannot lock ${path}: process ${process.pid} has held it`);
  });
});
