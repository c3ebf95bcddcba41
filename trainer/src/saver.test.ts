import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MessagePort } from "node:worker_threads";
import { nothingExpected } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { loadCheckpoint } from "@trainingrun/checkpoint/load.ts";
import { parseManifest } from "@trainingrun/checkpoint/manifest.ts";
import { restoreRun } from "@trainingrun/checkpoint/restore.ts";
import { type DirectoryStore, openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { hangSaves } from "../test/hung-volume.ts";
import type { HeldTensor } from "./learner.ts";
import { Pacer } from "./pacer.ts";
import { Saver } from "./saver.ts";
import type { ToWriter } from "./saving/protocol.ts";
import { type StartWriter, writerHere, writerThread } from "./saving/start-writer.ts";

const runUid = "run";

async function openedStore(): Promise<DirectoryStore> {
  const directory = await mkdtemp(join(tmpdir(), "saver-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const store = await openDirectoryStore(directory, { runUid });
  const request = { runUid, attempt: 1, podUid: "pod-1", node: "node", generation: 1 };
  const outcome = await restoreRun(store, { ...request, expected: nothingExpected });
  if (outcome.kind === "failed") throw new Error(outcome.message);
  return store;
}

function saverOn(store: DirectoryStore, writer: StartWriter, pacer = new Pacer()): Saver {
  const saver = new Saver(
    { store, writer, attempt: 1, parent: null, nonFiniteBefore: [], environment: {}, pacer },
    null,
  );
  onTestFinished(() => saver.close());
  return saver;
}

/** Training that is over: a save has this thread to itself. */
function released(): Pacer {
  const pacer = new Pacer();
  pacer.release();
  return pacer;
}

function requestOf(step: number, ...weights: HeldTensor[]) {
  const optimizer = { kind: "none", iterations: 0 };
  return {
    state: {
      version: 1 as const,
      step,
      random: { seed: 1, counter: step },
      cursor: { epoch: 0, permutationSeed: 1, position: 0 },
      datasetSize: 10,
      optimizer,
      metrics: [],
      evaluatedStep: 0,
      best: null,
      trainedSeconds: 1,
      attempts: 1,
    },
    snapshot: { weights, optimizerTensors: [], optimizer },
  };
}

function floats(name: string, values: Float32Array): HeldTensor {
  const bytes = new Uint8Array(values.buffer);
  return {
    name,
    dtype: "F32",
    shape: [values.length],
    bytes: bytes.byteLength,
    read: () => bytes,
    copyTo: (target, from) => target.set(bytes.subarray(from, from + target.byteLength)),
    release: () => undefined,
  };
}

/** More than all slabs together hold. */
const large = () => Float32Array.from({ length: 9 * 2 ** 20 }, (_, at) => at);

async function savedTensors(store: DirectoryStore) {
  const [name] = (await readdir(join(store.root, "data"))).filter((entry) => entry.startsWith("step-"));
  const directory = join(store.root, "data", name ?? "");
  const manifest = parseManifest(await readFile(join(directory, "MANIFEST.json")));
  const checkpoint = await loadCheckpoint(directory, { digest: manifest.digest });
  return { manifest, tensors: (await checkpoint.tensors("model.safetensors")).tensors };
}

describe.each([
  ["in a thread of its own", (store: DirectoryStore) => writerThread({ root: store.root, runUid })],
  ["in the training thread", (store: DirectoryStore) => writerHere(store)],
])("a writer %s", (_, writerOf) => {
  test("saves every value of a model larger than what is in flight", async () => {
    const store = await openedStore();
    const values = large();
    const saver = saverOn(store, writerOf(store), released());
    const request = requestOf(3, floats("big", values), floats("small", Float32Array.of(1, 2, 3)));
    expect(await saver.begin(request).done).toEqual({ step: 3, digest: expect.stringMatching(/^blake3:/) });
    const { tensors } = await savedTensors(store);
    expect(Buffer.compare(tensors.get("big")?.bytes ?? Buffer.of(), new Uint8Array(values.buffer))).toBe(0);
    expect(tensors.get("small")?.bytes).toEqual(new Uint8Array(Float32Array.of(1, 2, 3).buffer));
    expect(saver.counts).toMatchObject({ committed: 1, failed: 0, lastBytes: expect.any(Number) });
  });

  test("names the tensors that hold NaN or infinity, wherever in them", async () => {
    const store = await openedStore();
    const values = large();
    values[values.length - 1] = Number.POSITIVE_INFINITY;
    const saver = saverOn(store, writerOf(store), released());
    const request = requestOf(3, floats("big", values), floats("ok", Float32Array.of(1)));
    await saver.begin(request).done;
    expect((await savedTensors(store)).manifest.health).toMatchObject({ nonFinite: ["big"], unexpected: ["big"] });
  });

  test("leaves nothing of a save that is abandoned, and does the next one", async () => {
    const store = await openedStore();
    const pacer = new Pacer();
    const saver = saverOn(store, writerOf(store), pacer);
    const abandoned = saver.begin(requestOf(3, floats("big", large())));
    await pacer.between(1);
    abandoned.abandon();
    expect(await abandoned.done).toBeNull();
    expect((await readdir(join(store.root, "data"))).filter((name) => name.includes("3"))).toEqual([]);
    pacer.release();
    expect(await saver.begin(requestOf(4, floats("small", Float32Array.of(4)))).done).toMatchObject({ step: 4 });
    expect(saver.counts).toMatchObject({ committed: 1, failed: 1 });
  });
});

test("a tensor that cannot be read fails its save, and training goes on", async () => {
  const said = vi.spyOn(console, "error").mockReturnValue(undefined);
  const store = await openedStore();
  const saver = saverOn(store, writerThread({ root: store.root, runUid }), released());
  const broken: HeldTensor = {
    ...floats("broken", Float32Array.of(1)),
    copyTo: () => {
      throw new Error("the device is lost");
    },
  };
  expect(await saver.begin(requestOf(3, broken)).done).toBeNull();
  expect(said.mock.calls.map(([text]) => text)).toEqual([
    "Cannot copy a tensor's values out of the backend, so this save is abandoned:",
  ]);
  expect(await saver.begin(requestOf(4, floats("fine", Float32Array.of(1)))).done).toMatchObject({ step: 4 });
});

test("a thread that ends in the middle of a save fails it, its directory goes, and the next save has a new one", async () => {
  const said = vi.spyOn(console, "error").mockReturnValue(undefined);
  const store = await openedStore();
  let started = 0;
  let end: (() => Promise<void>) | undefined;
  const real = writerThread({ root: store.root, runUid });
  const mortal: StartWriter = (port, gone) => {
    started += 1;
    end = real(port, gone);
    return end;
  };
  const pacer = new Pacer();
  const saver = saverOn(store, mortal, pacer);
  const save = saver.begin(requestOf(3, floats("big", large())));
  // Begun, and then nothing more comes: the directory stands, half full.
  await vi.waitFor(
    async () => {
      await pacer.between(1);
      expect((await readdir(join(store.root, "data"))).join()).toMatch(/^\.saving-3-a1-\w+$/);
    },
    { timeout: 30_000 },
  );
  await end?.();
  expect(await save.done).toBeNull();
  expect(await readdir(join(store.root, "data"))).toEqual([]);
  expect(said.mock.calls.flat().join()).toContain(
    "Saving step 3 failed; training goes on: Cannot save because the thread that writes checkpoints is gone: it ended",
  );
  pacer.release();
  expect(await saver.begin(requestOf(4, floats("small", Float32Array.of(4)))).done).toMatchObject({ step: 4 });
  expect([started, saver.counts]).toEqual([2, expect.objectContaining({ committed: 1, failed: 1 })]);
});

test("between two long steps a model larger than what is in flight is copied out whole", async () => {
  const store = await openedStore();
  const pacer = new Pacer();
  const saver = saverOn(store, writerThread({ root: store.root, runUid }), pacer);
  const release = vi.fn();
  const save = saver.begin(requestOf(3, { ...floats("big", large()), release }));
  await pacer.between(10_000_000);
  expect(release).toHaveBeenCalledOnce();
  expect(await save.done).toMatchObject({ step: 3 });
  expect(saver.stalls.totalSeconds).toBeGreaterThan(0);
});

test("a second save while one is in flight is an error of the caller, who skips and counts instead", async () => {
  const store = await openedStore();
  const pacer = new Pacer();
  const saver = saverOn(store, writerHere(store), pacer);
  const first = saver.begin(requestOf(3, floats("w", Float32Array.of(1))));
  expect(() => saver.begin(requestOf(4))).toThrow("Cannot save step 4 because step 3 is being saved.");
  saver.skip();
  pacer.release();
  await first.done;
  expect(saver.counts).toMatchObject({ committed: 1, skipped: 1 });
});

test("only the part of the copying that training waits for counts as a stall", async () => {
  const store = await openedStore();
  const pacer = new Pacer();
  const saver = saverOn(store, writerHere(store), pacer);
  const save = saver.begin(requestOf(3, floats("w", Float32Array.of(1))), performance.now() - 5000);
  pacer.release();
  await save.done;
  const { totalSeconds } = saver.stalls;
  expect([totalSeconds > 5, totalSeconds < 10]).toEqual([true, true]);
});

test("values of a save that has failed are not taken for the next one's", async () => {
  const store = await openedStore();
  const heard: ToWriter["kind"][] = [];
  const listening: StartWriter = (port: MessagePort, gone) => {
    port.on("message", ({ kind }: ToWriter) => heard.push(kind));
    return writerHere(store)(port, gone);
  };
  const pacer = new Pacer();
  const saver = saverOn(store, listening, pacer);
  const first = saver.begin(requestOf(3, floats("w", Float32Array.of(1, 1))));
  first.abandon();
  await first.done;
  pacer.release();
  await saver.begin(requestOf(4, floats("w", Float32Array.of(2, 2)))).done;
  expect((await savedTensors(store)).tensors.get("w")?.bytes).toEqual(new Uint8Array(Float32Array.of(2, 2).buffer));
  expect(heard).toContain("filled");
});

describe("A save whose call to the volume does not return", () => {
  const hang = (store: DirectoryStore, saves: number) =>
    hangSaves(store, saves, () => vi.waitFor(() => expect(writers).toBe(0), { timeout: 10_000 }));

  let writers = 0;
  const counted = (store: DirectoryStore): StartWriter => {
    return (port, gone) => {
      writers += 1;
      const end = writerHere(store)(port, gone);
      return () => {
        writers -= 1;
        return end();
      };
    };
  };

  /** Minutes pass, in each of which a saver is asked whether it leaves its save; says what it answered. */
  function clock(): (saver: Saver, minutes: number) => boolean[] {
    const now = performance.now.bind(performance);
    let skewMs = 0;
    const spy = vi.spyOn(performance, "now").mockImplementation(() => now() + skewMs);
    onTestFinished(() => spy.mockRestore());
    return (saver, minutes) =>
      Array.from({ length: minutes }, () => {
        skewMs += 59_000;
        return saver.leaveStuck();
      });
  }

  const small = (step: number) => requestOf(step, floats("w", Float32Array.of(step)));

  test("is left after ten minutes in which nothing of it moved, and takes nothing with it", async () => {
    const said = vi.spyOn(console, "error").mockReturnValue(undefined);
    const store = await openedStore();
    const answer = hang(store, 1);
    const pass = clock();
    const saver = saverOn(store, counted(store), released());
    const save = saver.begin(small(3));
    expect(pass(saver, 12)).toEqual([...Array.from({ length: 10 }, () => false), true, false]);
    expect(await save.done).toBeNull();
    expect(said.mock.calls.flat()).toEqual([
      "The save of step 3 is left to itself, and the next has a writer of its own: nothing of it has moved for 600 s; look at the volume and its mount.",
    ]);
    expect(await saver.begin(small(4)).done).toMatchObject({ step: 4 });
    await answer();
    await vi.waitFor(() => expect(writers).toBe(1), { timeout: 10_000 });
    expect(await readdir(join(store.root, "data"))).toEqual([expect.stringMatching(/^step-0*4-/)]);
    expect([saver.counts, saver.last]).toMatchObject([{ committed: 1, failed: 1 }, { step: 4 }]);
  });

  test("is not left where two hang already: what is left of the process must be able to work", async () => {
    vi.spyOn(console, "error").mockReturnValue(undefined);
    const store = await openedStore();
    const answer = hang(store, 3);
    const pass = clock();
    const saver = saverOn(store, counted(store), released());
    for (const step of [3, 4]) {
      const save = saver.begin(small(step));
      expect(pass(saver, 12)).toContain(true);
      await save.done;
    }
    const third = saver.begin(small(5));
    expect(pass(saver, 30)).not.toContain(true);
    await answer();
    expect(await third.done).toMatchObject({ step: 5 });
  });

  test("is not left while it moves", async () => {
    const store = await openedStore();
    const pacer = new Pacer();
    const saver = saverOn(store, writerHere(store), pacer);
    const pass = clock();
    const save = saver.begin(requestOf(3, floats("big", large())));
    const moves = async (beforeBytes: number) => {
      await pacer.between(1);
      expect(save.remainingBytes).toBeLessThan(beforeBytes);
    };
    for (let minute = 0; minute < 3; minute += 1) {
      const { remainingBytes } = save;
      await vi.waitFor(() => moves(remainingBytes), { timeout: 30_000, interval: 1 });
      expect(pass(saver, 5)).not.toContain(true);
    }
    expect(save.time.movedSeconds).toBeGreaterThan(500);
    save.abandon();
    await save.done;
  });
});
