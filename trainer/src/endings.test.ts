import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TrainerRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { endDone, endPreempted } from "./endings.ts";
import type { PodPlace } from "./place.ts";

const digest = `blake3:${"a".repeat(64)}`;

/** `process.exit` returns nothing and comes back never; here it comes back as this. */
class Exited extends Error {}

beforeEach(() => {
  vi.spyOn(process.stdout, "write").mockReturnValue(true);
  vi.spyOn(process, "exit").mockImplementation((code) => {
    throw new Exited(`${code}`);
  });
  return () => vi.restoreAllMocks();
});

/** A pod, and a display that notes whether the record stood when it was closed. */
function podAtItsEnd() {
  const directory = mkdtempSync(join(tmpdir(), "endings-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const place: PodPlace = {
    kind: "pod",
    runUid: "run",
    attempt: 2,
    worker: 0,
    checkpoints: join(directory, "volume"),
    volume: "Durable",
    control: join(directory, "control"),
    terminationLog: join(directory, "termination-log"),
    interval: { steps: 1 },
    graceSeconds: 30,
  };
  const seen: boolean[] = [];
  const events = { close: async () => void seen.push(existsSync(place.terminationLog)) };
  return { place, events, seen };
}

test("the record of a stop stands before the display is closed, which a broken volume holds up", async () => {
  const { place, events, seen } = podAtItsEnd();
  const save = { finalCheckpoint: "Saved", checkpoint: { step: 5, digest }, why: "" } as const;
  await expect(endPreempted(place, { attempt: 2, step: 5, save, sinceMs: performance.now(), events })).rejects.toThrow(
    new Exited("143"),
  );
  expect(seen).toEqual([true]);
});

test("so does the record of a run that is done", async () => {
  const { place, events, seen } = podAtItsEnd();
  await endDone(place, { ...(await runAtItsEnd(place)), sinceMs: null, events });
  expect(seen).toEqual([true]);
  expect(existsSync(join(place.control, "preempted"))).toBe(false);
});

test("a run that finished on a stop says what it left of the grace period, and then that it is done", async () => {
  const { place, events } = podAtItsEnd();
  await endDone(place, { ...(await runAtItsEnd(place)), sinceMs: performance.now() - 12_000, events });
  const preempted = await recordIn(join(place.control, "preempted"));
  expect(preempted).toMatchObject({ kind: "preempted", attempt: 2, step: 5, finalCheckpoint: "Saved" });
  expect(preempted.kind === "preempted" && preempted.graceUsedSeconds).toBeGreaterThanOrEqual(12);
  expect(await recordIn(join(place.control, "done"))).toMatchObject({ kind: "done", checkpoint: digest });
  expect(await recordIn(place.terminationLog)).toMatchObject({ kind: "done" });
});

async function runAtItsEnd(place: PodPlace) {
  const learner = {
    backend: "plain",
    environment: {},
    config: digest,
    step: () => 1,
    snapshot: () => ({ weights: [], optimizerTensors: [], optimizer: { kind: "none", iterations: 0 } }),
    restore: () => undefined,
  };
  const store = await openDirectoryStore(place.checkpoints, { runUid: "run" });
  return { start: { store, attempt: 2, resume: null }, step: 5, metrics: {}, learner, saved: { step: 5, digest } };
}

async function recordIn(path: string): Promise<TrainerRecord> {
  return TrainerRecord.parse(JSON.parse(await readFile(path, "utf8")));
}
