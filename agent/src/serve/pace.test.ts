import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Pace } from "./pace.ts";

let directory: string;
const never = new AbortController().signal;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "agent-pace-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function paceOf(wakesFor: (name: string | null) => boolean, pollMs: number): Pace {
  return new Pace([{ directory, wakesFor }], { pollMs });
}

test("a change wakes long before the poll", async () => {
  using pace = paceOf(() => true, 3_600_000);
  await pace.next(never);
  const woken = pace.next(never);
  writeFileSync(join(directory, "000000000001.json"), "{}");
  await woken;
});

test("changes made while nobody waited are one wake, and the first look is at once", async () => {
  using pace = paceOf(() => true, 3_600_000);
  await pace.next(never);
  const waiting = pace.next(never);
  writeFileSync(join(directory, "a"), "");
  await waiting;
});

test("a directory that is not there is left to the poll, and watched once it is", async () => {
  rmSync(directory, { recursive: true });
  using pace = paceOf(() => true, 5);
  await pace.next(never);
  mkdirSync(directory);
  await pace.next(never);
  await pace.next(never);
});

test("a name that does not matter wakes nobody: only the signal ends this wait", async () => {
  using pace = paceOf((name) => name === "done", 3_600_000);
  await pace.next(never);
  const stop = new AbortController();
  let woken = false;
  const waiting = pace.next(stop.signal).then(() => {
    woken = true;
  });
  writeFileSync(join(directory, "progress.json"), "");
  // A second watch on the same directory hears of the write no sooner than the first.
  using other = paceOf(() => true, 3_600_000);
  await other.next(never);
  const heard = other.next(never);
  writeFileSync(join(directory, "progress.json"), "");
  await heard;
  expect(woken).toBe(false);
  stop.abort();
  await waiting;
});

test("an aborted signal does not wait", async () => {
  using pace = paceOf(() => true, 3_600_000);
  await pace.next(AbortSignal.abort());
  await pace.next(AbortSignal.abort());
});
