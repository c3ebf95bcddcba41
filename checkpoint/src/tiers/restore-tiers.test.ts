import fs, { readdir, rm } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { flipBit } from "../../test/damage.ts";
import { nothingExpected, pathIn, restore, resumedAt, runUid, save, temporaryStore } from "../../test/fixture.ts";
import { readLog } from "../log/read.ts";
import { type DirectoryStore, openDirectoryStore } from "../store/directory-store.ts";
import { recordName } from "../store/log-names.ts";
import { DamagedFileError, StorageUnavailableError, type Store } from "../store/store.ts";
import { verifyCheckpoint } from "../verify.ts";
import { mirrorCheckpoint, readMirrored } from "./mirror.ts";

/** A run whose first attempt has saved steps 10, 20 and 30, the first two of them mirrored. */
async function mirroredRun() {
  const volume = await temporaryStore();
  const objectStore = await temporaryStore();
  await restore(volume, 1, { objectStore });
  for (const step of [10, 20, 30]) await save(volume, 1, step);
  await mirror({ volume, objectStore, attempt: 1, steps: [10, 20] });
  return { volume, objectStore };
}

type Tiers = { volume: DirectoryStore; objectStore: DirectoryStore };

async function mirror({ volume, objectStore, attempt, steps }: Tiers & { attempt: number; steps: number[] }) {
  const { state } = await readLog(volume);
  for (const ref of state.checkpoints.filter(({ step }) => steps.includes(step))) {
    await mirrorCheckpoint({ from: volume, to: objectStore, attempt }, ref);
  }
}

async function damage(store: DirectoryStore, step: number) {
  const { state } = await readLog(store);
  const ref = state.checkpoints.find((one) => one.step === step);
  await flipBit(pathIn(store, ref?.directory ?? "", "model.safetensors"), 4000);
}

async function openedBase(store: DirectoryStore): Promise<string> {
  const { state } = await readLog(store);
  const base = state.checkpoints.find(({ digest }) => digest === state.opened?.base);
  return `attempt ${state.opened?.attempt} on step ${base?.step}`;
}

describe("A restore with a volume and an object store", () => {
  test("resumes from the newest of both, and opens both logs on the same base", async () => {
    const { volume, objectStore } = await mirroredRun();
    const outcome = await restore(volume, 2, { objectStore });
    expect(resumedAt(outcome)).toBe(30);
    for (const store of [volume, objectStore]) expect(await openedBase(store)).toBe("attempt 2 on step 30");
  });

  test("downloads the newest mirrored checkpoint onto a volume that is new, and goes on from there", async () => {
    const { objectStore } = await mirroredRun();
    const volume = await temporaryStore();
    const outcome = await restore(volume, 2, { objectStore });
    expect(outcome).toMatchObject({ kind: "restored", restored: { resume: { step: 20, tier: "ObjectStore" } } });
    const saved = await save(volume, 2, 40);
    await mirror({ volume, objectStore, attempt: 2, steps: [40] });
    // The volume is lost once more: what the second attempt saved is found, and its ancestors behind it.
    const next = await temporaryStore();
    expect(resumedAt(await restore(next, 3, { objectStore }))).toBe(40);
    await rm(pathIn(next, saved.directory), { recursive: true });
    await rm(join(objectStore.root, "data", saved.directory), { recursive: true });
    expect(resumedAt(await restore(next, 4, { objectStore }))).toBe(20);
  });

  test("mends a damaged copy on the volume with the object store's, and refuses nothing", async () => {
    const { volume, objectStore } = await mirroredRun();
    await rm(pathIn(volume, (await newest(volume)).directory), { recursive: true });
    await damage(volume, 20);
    const outcome = await restore(volume, 2, { objectStore });
    expect(outcome).toMatchObject({
      kind: "restored",
      restored: { resume: { step: 20, tier: "Volume" }, refused: [{ step: 30, reason: "Missing" }] },
      warnings: [
        expect.stringMatching(/^Passed over step 30, which is not refused for that: .* the object store does not help/),
        expect.stringMatching(/^Repaired step-000000000020-a0001 from the object store/),
      ],
    });
    expect((await readLog(volume)).state.refused).toEqual([]);
    const ref = (await readLog(volume)).state.checkpoints.find(({ step }) => step === 20);
    expect(ref && (await verifyCheckpoint(volume, ref))).toMatchObject({ ok: true });
  });

  test("tries to mend it once more where a device answered an error, for a refusal is for good", async () => {
    const { volume, objectStore } = await mirroredRun();
    await mirror({ volume, objectStore, attempt: 1, steps: [30] });
    await damage(volume, 30);
    const checkpoint = objectStore.checkpoint.bind(objectStore);
    const errors = ["EIO"];
    objectStore.checkpoint = (name) => {
      const stored = checkpoint(name);
      const open: typeof stored.open = async (path, from) => {
        const error = path === "model.safetensors" ? errors.pop() : undefined;
        if (error !== undefined) throw new DamagedFileError(error);
        return stored.open(path, from);
      };
      return { location: stored.location, entries: (limit) => stored.entries(limit), open };
    };
    expect(resumedAt(await restore(volume, 2, { objectStore }))).toBe(30);
    expect(errors).toEqual([]);
    expect((await readLog(volume)).state.refused).toEqual([]);
  });

  test.for(["lstat", "rename"] as const)(
    "takes the one before where the volume's copy is such that it cannot even make way: its %s fails",
    async (call) => {
      const { volume, objectStore } = await mirroredRun();
      await mirror({ volume, objectStore, attempt: 1, steps: [30] });
      await damage(volume, 30);
      const { directory } = await newest(volume);
      refusing(call, pathIn(volume, directory));
      expect(resumedAt(await restore(volume, 2, { objectStore }))).toBe(20);
      const names = await readdir(join(volume.root, "data"));
      expect(names.filter((name) => name.startsWith("."))).toEqual([]);
      expect((await readLog(volume)).state.refused).toHaveLength(1);
    },
  );

  test("refuses in both logs what no tier has right, and takes the one before", async () => {
    const { volume, objectStore } = await mirroredRun();
    await mirror({ volume, objectStore, attempt: 1, steps: [30] });
    for (const store of [volume, objectStore]) await damage(store, 30);
    expect(resumedAt(await restore(volume, 2, { objectStore }))).toBe(20);
    for (const store of [volume, objectStore]) {
      const { state } = await readLog(store);
      expect(state.refused.map(({ reason }) => reason)).toEqual(["BytesDiffer"]);
      expect(await openedBase(store)).toBe("attempt 2 on step 20");
    }
  });

  test("is asked whether the attempt may begin with the chosen one before a word of it is in either log", async () => {
    const { volume, objectStore } = await mirroredRun();
    await damage(volume, 30);
    const lengths = () => Promise.all([volume, objectStore].map(async (store) => (await readLog(store)).state.last));
    const before = await lengths();
    const mayTake = async ({ step }: { step: number }) => `This attempt cannot begin with step ${step}`;
    expect(await restore(volume, 2, { objectStore, mayTake })).toMatchObject({
      ...{ kind: "failed", failure: "Incompatible", message: "This attempt cannot begin with step 20" },
      refused: [{ step: 30, reason: "BytesDiffer" }],
    });
    expect(await lengths()).toEqual(before);
    expect(resumedAt(await restore(volume, 3, { objectStore, mayTake: async () => null }))).toBe(20);
  });

  test("goes back with a rollback in both, so that the abandoned steps count in neither", async () => {
    const { volume, objectStore } = await mirroredRun();
    const expected = { ...nothingExpected, base: { step: 10 } };
    expect(resumedAt(await restore(volume, 2, { objectStore, expected }))).toBe(10);
    // The volume is lost before the second attempt saved anything: the object store holds the rollback.
    expect(resumedAt(await restore(await temporaryStore(), 3, { objectStore }))).toBe(10);
  });

  test("follows the tier that a later attempt has opened: an old copy of the volume misleads nobody", async () => {
    const { volume, objectStore } = await mirroredRun();
    const other = await temporaryStore();
    await restore(other, 2, { objectStore });
    await save(other, 2, 25);
    await mirror({ volume: other, objectStore, attempt: 2, steps: [25] });
    // The first volume comes back. Its step 30 belongs to a history that ended when attempt 2 opened on step 20.
    expect(resumedAt(await restore(volume, 3, { objectStore }))).toBe(25);
  });

  test("goes on from what the object store tells of an attempt whose open the volume has lost, and keeps its bytes", async () => {
    const { volume, objectStore } = await mirroredRun();
    await restore(volume, 2, { objectStore });
    const saved = [];
    for (const step of [40, 50]) saved.push(await save(volume, 2, step));
    await mirror({ volume, objectStore, attempt: 2, steps: [30, 40, 50] });
    const { opened } = (await readLog(volume)).state;
    await flipBit(join(volume.root, "log", recordName(opened?.number ?? 0)), 300);
    const reopened = await openDirectoryStore(volume.root, { runUid });
    expect(resumedAt(await restore(reopened, 3, { objectStore }))).toBe(50);
    for (const store of [volume, objectStore]) expect(await openedBase(store)).toBe("attempt 3 on step 50");
    const names = await volume.names();
    expect(saved.map(({ directory }) => names.includes(directory))).toEqual([true, true]);
  });

  test("sweeps nothing that the operator has on record, nor what a lost open may have been followed by", async () => {
    const volume = await temporaryStore();
    await restore(volume, 1);
    await save(volume, 1, 10);
    await restore(volume, 2);
    const saved = [];
    for (const step of [20, 30]) saved.push(await save(volume, 2, step));
    const recorded = saved.slice(1).map(({ manifest: { step, digest } }) => ({ step, digest }));
    const expected = { ...nothingExpected, recorded };
    await flipBit(join(volume.root, "log", recordName(3)), 300);
    const left = async () => (await volume.names()).filter((name) => name.endsWith("-a0002"));
    for (const attempt of [3, 4]) {
      const reopened = await openDirectoryStore(volume.root, { runUid });
      expect(resumedAt(await restore(reopened, attempt, { expected }))).toBe(10);
      expect(await left()).toEqual(["step-000000000020-a0002", "step-000000000030-a0002"]);
    }
    // By now the log is pruned above the damage, and only the operator still knows.
    await restore(volume, 5, { expected });
    expect(await left()).toEqual(["step-000000000030-a0002"]);
    await restore(volume, 6);
    expect(await left()).toEqual([]);
  });

  test("finds its own open when it died between the two logs", async () => {
    const { volume, objectStore } = await mirroredRun();
    const dying = failingAt(objectStore, "announceOpen", "gone");
    expect(resumedAt(await restore(volume, 2, { objectStore: dying }))).toBe("StorageUnavailable");
    expect(await openedBase(volume)).toBe("attempt 2 on step 30");
    expect(await openedBase(objectStore)).toBe("attempt 1 on step undefined");
    expect(resumedAt(await restore(volume, 2, { objectStore }))).toBe(30);
    expect(await openedBase(objectStore)).toBe("attempt 2 on step 30");
  });

  test("waits for a tier that cannot be read, rather than taking it for empty", async () => {
    const { objectStore } = await mirroredRun();
    const away = failingAt(objectStore, "recordNumbers", "the store is away");
    const volume = await temporaryStore();
    expect(await restore(volume, 2, { objectStore: away })).toMatchObject({
      kind: "failed",
      failure: "StorageUnavailable",
      message: expect.stringContaining("the store is away"),
    });
    expect((await readLog(volume)).state.opened).toBeNull();
  });

  test("says nothing of a store whose requests ended with the restore itself", async () => {
    const { volume, objectStore } = await mirroredRun();
    const stop = new AbortController();
    const stopped = failingAt(objectStore, "recordNumbers", "this process is ending", () => stop.abort());
    await expect(restore(volume, 2, { objectStore: stopped, signal: stop.signal })).rejects.toThrow("aborted");
    expect((await readLog(volume)).state.opened?.attempt).toBe(1);
  });

  test("is fenced where either log was opened by a later attempt", async () => {
    const { volume, objectStore } = await mirroredRun();
    await restore(await temporaryStore(), 3, { objectStore });
    expect(resumedAt(await restore(volume, 2, { objectStore }))).toBe("Fenced");
    expect((await readLog(volume)).state.opened?.attempt).toBe(1);
  });

  test("carries a base without a mirrored copy into the object store's log, and the mirror brings its bytes", async () => {
    const { volume, objectStore } = await mirroredRun();
    await restore(volume, 2, { objectStore });
    const base = (await readLog(objectStore)).state.opened?.base ?? "";
    expect((await readMirrored(objectStore)).has(base)).toBe(false);
    await mirror({ volume, objectStore, attempt: 2, steps: [30] });
    expect((await readMirrored(objectStore)).has(base)).toBe(true);
    expect(resumedAt(await restore(await temporaryStore(), 3, { objectStore }))).toBe(30);
  });
});

/** The same store, of which one method finds it away. */
function failingAt(store: DirectoryStore, method: keyof Store, message: string, before = () => {}): Store {
  return new Proxy<Store>(store, {
    get(target, name) {
      if (name === method) {
        return async () => {
          before();
          throw new StorageUnavailableError(message);
        };
      }
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

async function newest(store: DirectoryStore) {
  const { state } = await readLog(store);
  const [first] = state.checkpoints.toSorted((a, b) => b.step - a.step);
  if (first === undefined) throw new Error("the run has no checkpoint");
  return first;
}

/** From now on the device refuses this directory itself, wherever it is looked at, or is to be moved. */
function refusing(call: "lstat" | "rename", directory: string): void {
  const refused = async () => {
    throw Object.assign(new Error("EUCLEAN"), { code: "EUCLEAN" });
  };
  const { lstat, rename } = fs;
  const watched =
    call === "lstat"
      ? vi.spyOn(fs, "lstat").mockImplementation((path) => (String(path) === directory ? refused() : lstat(path)))
      : vi
          .spyOn(fs, "rename")
          .mockImplementation((from, to) => (String(from) === directory ? refused() : rename(from, to)));
  syncBuiltinESMExports();
  onTestFinished(() => {
    watched.mockRestore();
    syncBuiltinESMExports();
  });
}
