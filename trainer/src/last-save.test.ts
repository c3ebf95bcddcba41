import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { nothingExpected } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { savePatienceSeconds } from "@trainingrun/checkpoint/contract/save-patience.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { restoreRun } from "@trainingrun/checkpoint/restore.ts";
import { DirectoryStore, openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { StorageUnavailableError } from "@trainingrun/checkpoint/store/store.ts";
import { beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { hangSaves } from "../test/hung-volume.ts";
import { FinalSaveError, type HurriedRun, isFinal, saveBefore, saveLastStep } from "./last-save.ts";
import type { HeldTensor } from "./learner.ts";
import { Pacer } from "./pacer.ts";
import { type Saved, Saver } from "./saver.ts";
import { type StartWriter, writerHere } from "./saving/start-writer.ts";

const runUid = "run";

beforeEach(() => {
  vi.spyOn(console, "error").mockReturnValue(undefined);
});

const thousandBytes: HeldTensor = {
  name: "weights",
  dtype: "BOOL",
  shape: [1000],
  bytes: 1000,
  read: () => new Uint8Array(1000),
  copyTo: (target) => void target.fill(1),
  release: () => undefined,
};

/** A run that has stopped after step 5, on a volume whose log takes no record the next `failures` times. */
async function stoppedRun({
  failures,
  last = null,
}: {
  failures: number;
  last?: Saved | null;
}): Promise<HurriedRun & { store: DirectoryStore }> {
  const directory = await mkdtemp(join(tmpdir(), "last-save-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const store = await openDirectoryStore(directory, { runUid });
  await restoreRun(store, {
    runUid,
    attempt: 1,
    podUid: "pod-1",
    node: "node",
    generation: 1,
    expected: nothingExpected,
  });
  let left = failures;
  store.createRecord = async (number, bytes) => {
    left -= 1;
    if (left >= 0) throw new StorageUnavailableError("Cannot append to the log because the volume answered EIO");
    return DirectoryStore.prototype.createRecord.call(store, number, bytes);
  };
  const pacer = new Pacer();
  pacer.release();
  const who = { attempt: 1, parent: null, nonFiniteBefore: [], environment: {} };
  let writers = 0;
  const writer: StartWriter = (port, gone) => {
    writers += 1;
    const end = writerHere(store)(port, gone);
    return () => {
      writers -= 1;
      return end();
    };
  };
  const saver = new Saver({ ...who, store, writer, pacer }, last);
  // One that was left to itself is ended when it has come back.
  onTestFinished(async () => {
    await saver.close();
    await vi.waitFor(() => expect(writers).toBe(0), { timeout: 10_000 });
  });
  return {
    store,
    step: 5,
    uploadBytesPerSecond: null,
    saver,
    outdated: last?.digest ?? null,
    saveRequest: () => ({
      state: {
        version: 1,
        step: 5,
        random: { seed: 1, counter: 5 },
        cursor: { epoch: 0, permutationSeed: 1, position: 5 },
        datasetSize: 10,
        optimizer: { kind: "none", iterations: 0 },
        metrics: [],
        evaluatedStep: 0,
        best: null,
        trainedSeconds: performance.now(),
        attempts: 1,
      },
      snapshot: { weights: [thousandBytes], optimizerTensors: [], optimizer: { kind: "none", iterations: 0 } },
    }),
  };
}

const steps = async (store: DirectoryStore) => (await readLog(store)).state.checkpoints.map(({ step }) => step);
const within = (seconds: number) => {
  const atMs = performance.now() + seconds * 1000;
  return { sureMs: atMs, latestMs: atMs };
};
const going = () => ({ stop: new AbortController().signal });

test.each([1, 5])("the last step is saved although %i commits of it failed first", async (failures) => {
  const run = await stoppedRun({ failures });
  expect(await saveLastStep(run, going())).toMatchObject({ step: 5 });
  expect(await steps(run.store)).toEqual([5]);
});

test("a volume that stays broken ends the run with words, and nothing is committed", async () => {
  const run = await stoppedRun({ failures: 100 });
  await expect(saveLastStep(run, { ...going(), patienceMs: () => 500 })).rejects.toThrow(FinalSaveError);
  expect(await steps(run.store)).toEqual([]);
});

test("a stop ends the patience of a finished run at once, and its grace period decides", async () => {
  const run = await stoppedRun({ failures: 100 });
  const stop = new AbortController();
  const saving = saveLastStep(run, { stop: stop.signal });
  stop.abort();
  expect(await saving).toBeNull();
});

describe("A volume that takes what is written and does not answer", () => {
  const hang = (
    { store, saver }: Awaited<ReturnType<typeof stoppedRun>>,
    saves = Number.POSITIVE_INFINITY,
  ): (() => Promise<void>) => hangSaves(store, saves, () => saver.inFlight?.done);

  async function* slowly(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces) {
      await sleep(300);
      yield piece;
    }
  }

  const shortly = { patienceMs: () => 200, partingMs: 100 };

  test.each([5, 4])("ends the run in words, when after the save of step %i another hangs as well", async (step) => {
    const run = await stoppedRun({ failures: 0 });
    const answer = hang(run);
    const request = run.saveRequest();
    const save = run.saver.begin({ ...request, state: { ...request.state, step } });
    const saving = saveLastStep(run, { ...going(), ...shortly });
    await expect(saving).rejects.toThrow(FinalSaveError);
    await expect(saving).rejects.toThrow(/: the save of step 5 has not ended in \d+ s\. Look at/);
    const second = run.saver.inFlight;
    expect(second?.step).toBe(5);
    await answer();
    expect([await save.done, await second?.done, await steps(run.store)]).toEqual([null, null, []]);
  });

  test("ends the run as well when it hangs at a later try", async () => {
    const run = await stoppedRun({ failures: 1 });
    let tries = 0;
    const patienceMs = () => {
      tries += 1;
      return tries < 3 ? 60_000 : 200;
    };
    const begin = run.saver.begin.bind(run.saver);
    vi.spyOn(run.saver, "begin").mockImplementation((request) => {
      if (tries === 2) hang(run);
      return begin(request);
    });
    await expect(saveLastStep(run, { ...going(), ...shortly, patienceMs })).rejects.toThrow(
      "the save of step 5 has not ended in",
    );
  });

  test.each([5, 4])(
    "in one call alone, of the save of step %i, has the last step saved by another writer",
    async (step) => {
      const run = await stoppedRun({ failures: 0 });
      const answer = hang(run, 1);
      const request = run.saveRequest();
      const save = run.saver.begin({ ...request, state: { ...request.state, step } });
      expect(await saveLastStep(run, { ...going(), ...shortly })).toMatchObject({ step: 5 });
      expect([await save.done, run.saver.counts]).toMatchObject([null, { committed: 1, failed: 1 }]);
      await answer();
      expect(await steps(run.store)).toEqual([5]);
    },
  );

  test("in one call alone has a run that is asked to stop save its last step, once that call is stuck", async () => {
    const run = await stoppedRun({ failures: 0 });
    hang(run, 1);
    const now = performance.now.bind(performance);
    let skewMs = 0;
    const clock = vi.spyOn(performance, "now").mockImplementation(() => now() + skewMs);
    onTestFinished(() => clock.mockRestore());
    const request = run.saveRequest();
    const { time } = run.saver.begin({ ...request, state: { ...request.state, step: 4 } });
    for (skewMs = 40_000; time.secondsAt(performance.now()) < 120; skewMs += 40_000);
    expect(await saveBefore(within(20), run)).toMatchObject({ finalCheckpoint: "Saved", checkpoint: { step: 5 } });
  });

  test("and is only slow has time to take away what it has of a save that is given up, and does the next", async () => {
    const run = await stoppedRun({ failures: 0 });
    const answer = hang(run);
    const save = run.saver.begin(run.saveRequest());
    const { abandon } = save;
    save.abandon = () => {
      abandon();
      void answer();
    };
    expect(await saveLastStep(run, { ...going(), patienceMs: () => 200 })).toMatchObject({ step: 5 });
    expect(await readdir(join(run.store.root, "data"))).toEqual([expect.stringMatching(/^step-/)]);
    expect(run.saver.counts).toMatchObject({ committed: 1, failed: 1 });
  });

  test("and is slow has all the time it takes, as long as something of a save moves", async () => {
    const run = await stoppedRun({ failures: 0 });
    const { store } = run;
    store.begin = async (checkpoint) => {
      const writer = await DirectoryStore.prototype.begin.call(store, checkpoint);
      const write = writer.write.bind(writer);
      writer.write = (path, pieces, bytes) => write(path, slowly(pieces), bytes);
      return writer;
    };
    const bytes = 2 ** 26;
    const large: HeldTensor = { ...thousandBytes, shape: [bytes], bytes };
    const { snapshot, state } = run.saveRequest();
    const saveRequest = () => ({ state, snapshot: { ...snapshot, weights: [large] } });
    const beganMs = performance.now();
    expect(await saveLastStep({ ...run, saveRequest }, { ...going(), patienceMs: () => 2_000 })).toMatchObject({
      step: 5,
    });
    expect([run.saver.counts.failed, performance.now() - beganMs > 2_000]).toEqual([0, true]);
  });

  test("keeps nobody from hearing a stop", async () => {
    const run = await stoppedRun({ failures: 0 });
    hang(run);
    const stop = new AbortController();
    const saving = saveLastStep(run, { stop: stop.signal });
    stop.abort();
    expect(await saving).toBeNull();
    expect(await saveBefore(within(1), run)).toMatchObject({ finalCheckpoint: "TimedOut", checkpoint: null });
  });
});

test.each<[string, { committed: number; lastSeconds: number; bytes: number }, number]>([
  ["of saves that take a moment", { committed: 9, lastSeconds: 2, bytes: 1e9 }, 600],
  ["of saves that take long", { committed: 9, lastSeconds: 300, bytes: 1e9 }, 1500],
  ["of a first save that is small", { committed: 0, lastSeconds: 0, bytes: 1e6 }, 600],
  ["of a first save that is large", { committed: 0, lastSeconds: 0, bytes: 10e9 }, 5000],
  ["of large saves on a volume that may be throttled by now", { committed: 9, lastSeconds: 60, bytes: 3e9 }, 1500],
])("the patience %s, while nothing of them moves", (_, known, seconds) => {
  expect(savePatienceSeconds(known)).toBe(seconds);
});

test("a save on SIGTERM that fails is tried again as long as there is time", async () => {
  const run = await stoppedRun({ failures: 5 });
  expect(await saveBefore(within(20), run)).toMatchObject({ finalCheckpoint: "Saved", checkpoint: { step: 5 } });
  expect(await steps(run.store)).toEqual([5]);
});

test("a save in flight that fails after SIGTERM is done anew while there is time", async () => {
  const run = await stoppedRun({ failures: 1 });
  run.saver.begin(run.saveRequest());
  expect(await saveBefore(within(10), run)).toMatchObject({ finalCheckpoint: "Saved", checkpoint: { step: 5 } });
});

describe("A last step that is saved without its evaluation", () => {
  const last = { step: 5, digest: `blake3:${"5".repeat(64)}` };

  test.each(["in flight", "not begun"])("is saved with it before the deadline, that save being %s", async (when) => {
    const run = await stoppedRun({ failures: 0, last });
    if (when === "in flight") run.saver.begin(run.saveRequest());
    const { finalCheckpoint, checkpoint } = await saveBefore(within(20), run);
    expect(finalCheckpoint).toBe("Saved");
    expect(isFinal(checkpoint, run)).toBe(true);
    expect(await steps(run.store)).toEqual([5]);
  });

  test("is tried again with it, when that save failed", async () => {
    const run = await stoppedRun({ failures: 2, last });
    const { checkpoint } = await saveBefore(within(20), run);
    expect(isFinal(checkpoint, run)).toBe(true);
  });

  test("stands as it is where there is no time, and the run is not done with it", async () => {
    const run = await stoppedRun({ failures: 0, last });
    const save = await saveBefore(within(0), run);
    expect(save).toMatchObject({ finalCheckpoint: "Saved", checkpoint: last });
    expect(isFinal(save.checkpoint, run)).toBe(false);
  });
});

test("a save on SIGTERM that keeps failing has failed, and has not run out of time", async () => {
  const run = await stoppedRun({ failures: 100 });
  expect(await saveBefore(within(2), run)).toMatchObject({ finalCheckpoint: "Failed", checkpoint: null });
});

test("what ends with its pod is saved while there is time to upload it, which takes ten seconds here", async () => {
  const [soon, late] = [await stoppedRun({ failures: 0 }), await stoppedRun({ failures: 0 })];
  const uploadBytesPerSecond = 100;
  const saved = await saveBefore(within(60), { ...soon, uploadBytesPerSecond });
  expect(saved).toMatchObject({ finalCheckpoint: "Saved", checkpoint: { step: 5 } });
  const tooLate = await saveBefore(within(11), { ...late, uploadBytesPerSecond });
  expect(tooLate).toMatchObject({ finalCheckpoint: "TimedOut", checkpoint: null });
  expect(tooLate.why).toContain("without what the upload needs");
  expect(await steps(late.store)).toEqual([]);
});

test("a save that fails is not tried again in the time that its upload would take", async () => {
  const run = await stoppedRun({ failures: 100 });
  const deadline = within(15);
  const save = await saveBefore(deadline, { ...run, uploadBytesPerSecond: 100 });
  expect(save).toMatchObject({ finalCheckpoint: "Failed", checkpoint: null });
  expect(deadline.latestMs - performance.now()).toBeGreaterThan(10_000);
});

test("where a step held the thread for longer than the grace period, the save is tried in what may be left", async () => {
  const run = await stoppedRun({ failures: 0 });
  const { latestMs } = within(20);
  expect(await saveBefore({ sureMs: latestMs - 40_000, latestMs }, run)).toMatchObject({ finalCheckpoint: "Saved" });
  const other = await stoppedRun({ failures: 0 });
  expect(await saveBefore(within(-1), other)).toMatchObject({ finalCheckpoint: "TimedOut" });
});
