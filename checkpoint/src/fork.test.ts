import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { flipBit } from "../test/damage.ts";
import {
  nothingExpected,
  pathIn,
  restore,
  resumedAt,
  runUid,
  save,
  temporaryDirectory,
  temporaryStore,
} from "../test/fixture.ts";
import type { Digest } from "./contract/digest.ts";
import type { ForkSource } from "./contract/pod-environment.ts";
import { appendRecord } from "./log/append.ts";
import { renewOpen } from "./log/compact.ts";
import { readLog } from "./log/read.ts";
import { parseManifest } from "./manifest.ts";
import type { RestoreRequest } from "./restore.ts";
import { type DirectoryStore, openDirectoryStore } from "./store/directory-store.ts";
import { StorageUnavailableError, type Store } from "./store/store.ts";
import { mirrorCheckpoint } from "./tiers/mirror.ts";
import { planMirror } from "./tiers/mirror-plan.ts";

const otherUid = "9d0c66d0-11a1-4a6e-8e0e-5f1a1f1d0b22";
const absentDigest: Digest = `blake3:${"0".repeat(64)}`;

/** Another run, whose third attempt has saved these steps; nothing of it can be written through `stores`. */
async function otherRun(steps: readonly number[] = [10, 20]) {
  const root = await temporaryDirectory();
  const store = await openDirectoryStore(root, { runUid: otherUid });
  await restore(store, 3, { runUid: otherUid });
  for (const step of steps) await save(store, 3, step, { runUid: otherUid });
  return { store, stores: [readOnly(store)] };
}

/** A tier that takes no write of any kind. */
function readOnly(store: DirectoryStore): Store {
  const reads = new Set(["tier", "runUid", "recordNumbers", "readRecord", "announcedOpens", "names", "checkpoint"]);
  return new Proxy<DirectoryStore>(store, {
    get: (target, name) => {
      if (!reads.has(String(name))) throw new Error(`${String(name)} was asked of a source`);
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

function forking(source: Partial<ForkSource>, stores: readonly Store[]): Partial<RestoreRequest> {
  const whole = { run: otherUid, checkpoint: { step: 10 }, since: 1, ...source };
  return { expected: { ...nothingExpected, base: { source: whole } }, openSource: async () => stores };
}

const unasked = async () => {
  throw new Error("the source was asked for again");
};

async function opened(store: Store) {
  const { state } = await readLog(store);
  const base = state.checkpoints.find(({ digest }) => digest === state.opened?.base);
  return { attempt: state.opened?.attempt, step: base?.step, of: base?.attempt };
}

async function manifestOf(store: Store, directory: string) {
  await using file = await store.checkpoint(directory).open("MANIFEST.json");
  const bytes = new Uint8Array(file?.bytes ?? 0);
  await file?.read(bytes, 0);
  return parseManifest(bytes);
}

async function refIn(store: Store, step: number) {
  const ref = (await readLog(store)).state.checkpoints.find((one) => one.step === step);
  if (ref === undefined) throw new Error(`no step ${step}`);
  return ref;
}

describe("A restore with a checkpoint of another run", () => {
  test("copies it under its own attempt, of the same files, and opens on the copy", async () => {
    const other = await otherRun();
    const volume = await temporaryStore();
    const outcome = await restore(volume, 1, forking({}, other.stores));
    const directory = "step-000000000010-a0001";
    expect(outcome).toMatchObject({ kind: "restored", restored: { resume: { step: 10, attempt: 1, tier: "Volume" } } });
    const source = await manifestOf(other.store, "step-000000000010-a0003");
    const copy = await manifestOf(volume, directory);
    expect(copy).toEqual({ ...source, runUid, attempt: 1, parent: source.digest, digest: copy.digest });
    expect(await opened(volume)).toEqual({ attempt: 1, step: 10, of: 1 });
    expect(await refIn(volume, 10)).toMatchObject({ digest: copy.digest, directory, bytes: copy.totals.bytes });
  });

  test("finds it by its place and digest without that run's log", async () => {
    const other = await otherRun();
    const ref = await refIn(other.store, 20);
    await rm(join(other.store.root, "log"), { recursive: true });
    const checkpoint = { directory: ref.directory, digest: ref.digest };
    expect(resumedAt(await restore(await temporaryStore(), 1, forking({ checkpoint }, other.stores)))).toBe(20);
  });

  test("goes on from what was trained since, whoever asks for the source again", async () => {
    const other = await otherRun();
    const volume = await temporaryStore();
    await restore(volume, 1, forking({}, other.stores));
    const again = { ...forking({}, []), openSource: unasked };
    expect(resumedAt(await restore(volume, 2, again))).toBe(10);
    await save(volume, 2, 15);
    expect(resumedAt(await restore(volume, 3, again))).toBe(15);
  });

  test("stays with one that is not finite, for it was named, and says of the copy what was said of it", async () => {
    const other = await otherRun([10]);
    const health = { nonFinite: ["w"], nonFiniteTensors: 1, unexpected: ["w"], unexpectedTensors: 1 };
    await save(other.store, 3, 20, { runUid: otherUid, health });
    const volume = await temporaryStore();
    const source = { checkpoint: { step: 20 } };
    expect(resumedAt(await restore(volume, 1, forking(source, other.stores)))).toBe(20);
    expect(await refIn(volume, 20)).toMatchObject({ unhealthy: true, chosen: true });
    expect((await manifestOf(volume, "step-000000000020-a0001")).health).toEqual(health);
    const again = { ...forking(source, []), openSource: unasked };
    expect(resumedAt(await restore(volume, 2, again))).toBe(20);
    await save(volume, 2, 25);
    expect(resumedAt(await restore(volume, 3, again))).toBe(25);
    await flipBit(pathIn(volume, "step-000000000025-a0002", "model.safetensors"), 4000);
    expect(resumedAt(await restore(volume, 4, again))).toBe(20);
  });

  test("takes it once more where it is chosen anew, and leaves what was trained in between", async () => {
    const other = await otherRun();
    const volume = await temporaryStore();
    await restore(volume, 1, forking({}, other.stores));
    await save(volume, 1, 15);
    expect(resumedAt(await restore(volume, 2, forking({ since: 2 }, other.stores)))).toBe(10);
    expect(resumedAt(await restore(volume, 3))).toBe(10);
  });

  test("is repeated in the same pod, wherever it was cut off, and comes to the same copy", async () => {
    const other = await otherRun();
    const volume = await temporaryStore();
    const dying = failingAt(volume, "announceOpen");
    expect(resumedAt(await restore(dying, 1, forking({}, other.stores)))).toBe("StorageUnavailable");
    const { digest } = await manifestOf(volume, "step-000000000010-a0001");
    expect(await opened(volume)).toEqual({ attempt: undefined, step: undefined, of: undefined });
    for (let life = 0; life < 2; life += 1) {
      const outcome = await restore(volume, 1, forking({}, other.stores));
      expect(outcome).toMatchObject({ kind: "restored", restored: { resume: { digest } } });
    }
    expect((await readLog(volume)).records).toHaveLength(1);
    await save(volume, 1, 15);
    // Built on by now: the same base is handed over once more.
    expect(resumedAt(await restore(volume, 1, forking({}, other.stores)))).toBe(10);
  });

  test("sweeps the copy of an attempt that never opened", async () => {
    const other = await otherRun();
    const volume = await temporaryStore();
    await restore(failingAt(volume, "announceOpen"), 1, forking({}, other.stores));
    expect(resumedAt(await restore(volume, 2, forking({ since: 2 }, other.stores)))).toBe(10);
    expect(await volume.names()).toEqual(["step-000000000010-a0002"]);
  });

  test("keeps a lineage that begins with the copy: nothing goes below it, and an open can be renewed", async () => {
    const other = await otherRun();
    const volume = await temporaryStore();
    await restore(volume, 1, forking({}, other.stores));
    await expect(save(volume, 1, 5)).rejects.toThrow("its step 5 is below its base's, 10");
    await save(volume, 1, 15);
    expect(await renewOpen(volume, { attempt: 1, podUid: "pod-1", after: 1 })).toBe(true);
    expect((await readLog(volume)).state.attempts).toEqual([{ attempt: 1, base: null }]);
    expect(await opened(volume)).toEqual({ attempt: 1, step: 10, of: 1 });
    const { digest } = await refIn(volume, 10);
    const gone = await appendRecord(volume, { kind: "delete", attempt: 1, manifests: [digest], why: "w" });
    expect(gone).toMatchObject({ kind: "void", message: expect.stringContaining("is the base of attempt 1") });
  });

  test("opens both of its tiers on the copy, which is uploaded once and survives the volume", async () => {
    const other = await otherRun();
    const [volume, objectStore] = [await temporaryStore(), await temporaryStore()];
    await restore(volume, 1, { objectStore, ...forking({}, other.stores) });
    expect(await opened(objectStore)).toEqual({ attempt: 1, step: 10, of: 1 });
    const { state } = await readLog(volume);
    const [ref] = state.checkpoints;
    const plan = planMirror({
      attempt: 1,
      volume: state,
      policy: { last: 2, best: null, everySteps: null, maxBytes: null },
      verified: new Set([ref?.digest ?? ""]),
      mirrored: new Set(),
      removed: new Set(),
      pausing: new Set(),
      turn: "Newest",
    });
    expect(plan.next).toEqual([ref]);
    for (const each of plan.next) await mirrorCheckpoint({ from: volume, to: objectStore, attempt: 1 }, each);
    const next = await temporaryStore();
    expect(await restore(next, 2, { objectStore })).toMatchObject({
      restored: { resume: { step: 10, attempt: 1, tier: "ObjectStore", digest: ref?.digest } },
    });
  });

  test("makes one whole copy of two that are damaged in different places", async () => {
    const other = await otherRun();
    const ref = await refIn(other.store, 10);
    const mirror = await openDirectoryStore(await temporaryDirectory(), { runUid: otherUid });
    await restore(mirror, 3, { runUid: otherUid });
    await mirrorCheckpoint({ from: other.store, to: mirror, attempt: 3 }, ref);
    await flipBit(pathIn(other.store, ref.directory, "model.safetensors"), 4000);
    await flipBit(pathIn(mirror, ref.directory, "state.json"), 20);
    const stores = [...other.stores, readOnly(mirror)];
    expect(resumedAt(await restore(await temporaryStore(), 1, forking({}, stores)))).toBe(10);
  });
});

describe("A checkpoint of another run that cannot be taken is told in words, and nothing is opened", () => {
  const refused: readonly [string, Partial<ForkSource>, string][] = [
    ["a step that it never saved", { checkpoint: { step: 12 } }, "step 12 is not among the 2 checkpoints of the log"],
    ["the run itself", { run: runUid }, "it is this very run, whose own checkpoints are chosen by {step}"],
    [
      "a digest that is not there",
      { checkpoint: { directory: "step-000000000010-a0003", digest: absentDigest } },
      `no copy of step-000000000010-a0003 has the manifest ${absentDigest}`,
    ],
  ];
  test.each(refused)("%s", async (_, source, words) => {
    const other = await otherRun();
    const volume = await temporaryStore();
    const outcome = await restore(volume, 1, forking(source, other.stores));
    expect(outcome).toMatchObject({
      failure: "NoVerifiedCheckpoint",
      message: `Cannot restore attempt 1 because the checkpoint of run ${source.run ?? otherUid} cannot be copied: ${words}`,
    });
    expect((await readLog(volume)).state.opened).toBeNull();
    expect(await volume.names()).toEqual([]);
  });

  test("one that that run has refused", async () => {
    const other = await otherRun();
    const { digest } = await refIn(other.store, 10);
    const refusal = { reason: "BytesDiffer", message: "chunk 0 does not match", node: "n" };
    await appendRecord(other.store, { kind: "refuse", attempt: 3, manifest: digest, ...refusal });
    expect(await restore(await temporaryStore(), 1, forking({}, other.stores))).toMatchObject({
      message: expect.stringContaining("step 10 was refused with BytesDiffer: chunk 0 does not match"),
    });
  });

  test("one whose bytes do not match any more", async () => {
    const other = await otherRun();
    await flipBit(pathIn(other.store, "step-000000000010-a0003", "model.safetensors"), 4000);
    const volume = await temporaryStore();
    expect(await restore(volume, 1, forking({}, other.stores))).toMatchObject({
      failure: "NoVerifiedCheckpoint",
      message: expect.stringContaining("does not match in any of 1 copies, twice"),
    });
    expect(await volume.names()).toEqual([]);
  });

  test("one that lies in the directory of that run and is a third one's", async () => {
    const other = await otherRun();
    const { directory, digest } = await refIn(other.store, 10);
    const source = { run: "third", checkpoint: { directory, digest } };
    expect(await restore(await temporaryStore(), 1, forking(source, other.stores))).toMatchObject({
      message: expect.stringContaining(`${directory} belongs to run ${otherUid}`),
    });
  });

  test("one of a run of which nothing is there", async () => {
    expect(await restore(await temporaryStore(), 1, forking({}, []))).toMatchObject({
      message: expect.stringContaining("nothing of that run is there"),
    });
  });

  test("one in a tier that is away, which is waited for", async () => {
    const other = await otherRun();
    const stores = [failingAt(other.store, "recordNumbers")];
    expect(resumedAt(await restore(await temporaryStore(), 1, forking({}, stores)))).toBe("StorageUnavailable");
  });
});

/** A store of which one method fails, as where its tier is away. */
function failingAt(store: DirectoryStore, method: keyof Store): Store {
  return new Proxy<DirectoryStore>(store, {
    get: (target, name) => {
      if (name === method) return () => Promise.reject(new StorageUnavailableError("the tier is away"));
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
