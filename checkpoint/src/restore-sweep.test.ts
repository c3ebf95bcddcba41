import { cp, mkdir, readdir, rename, rm, utimes, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { flipBit } from "../test/damage.ts";
import { nothingExpected, pathIn, restore, resumedAt, runUid, savedRun } from "../test/fixture.ts";
import type { Expected } from "./contract/pod-environment.ts";
import { directoryName, settlingName } from "./directory-name.ts";
import { readLog } from "./log/read.ts";
import { prune } from "./prune.ts";
import { DirectoryStore, openDirectoryStore } from "./store/directory-store.ts";
import { StorageUnavailableError } from "./store/store.ts";

const expecting = (expected: Partial<Expected>) => ({ expected: { ...nothingExpected, ...expected } });
const model = (store: DirectoryStore, step: number) => pathIn(store, directoryName(step, 1), "model.safetensors");

describe("a restore among what dead processes left", () => {
  test("sweeps what dead writers left, and nothing of the living", async () => {
    const { store } = await savedRun([10]);
    const data = join(store.root, "data");
    const leave = [".saving-11-a1-00ff", ".saving-11-a2-00ff", ".trash-step-000000000001-a0001-x", "lost+found"];
    for (const name of leave) await mkdir(join(data, name));
    await mkdir(join(data, directoryName(9, 1)));
    const temporaries = [
      "log/.tmp-dead",
      "log/.probe-dead",
      "data/.probe-dead",
      "log/.tmp-living",
      "data/.probe-living",
    ];
    for (const name of temporaries) {
      await writeFile(join(store.root, name), "{");
      // The hour in which its process may still be at work is over.
      const before = new Date(Date.now() - 2 * 60 * 60 * 1000);
      if (name.endsWith("dead")) await utimes(join(store.root, name), before, before);
    }
    await restore(store, 2);
    const living = [".probe-living", ".saving-11-a2-00ff", "lost+found", directoryName(10, 1)];
    expect((await readdir(data)).sort()).toEqual(living);
    expect((await readdir(join(store.root, "log"))).filter((name) => name.startsWith("."))).toEqual([".tmp-living"]);
  });

  test("sweeps on past a directory that the device does not let go of, and prunes the log although one stays", async () => {
    const { store } = await savedRun([10]);
    for (const attempt of [2, 3]) await restore(store, attempt);
    const data = join(store.root, "data");
    for (const name of [".trash-bad", ".trash-good"]) await mkdir(join(data, name));
    store.remove = async (name) => {
      if (name === ".trash-bad") throw new StorageUnavailableError("Cannot remove: EIO");
      await DirectoryStore.prototype.remove.call(store, name);
    };
    const [lowest] = await store.recordNumbers();
    const outcome = await restore(store, 4);
    expect(outcome.warnings).toEqual(["Leftovers stay until the next restore: Cannot remove: EIO"]);
    expect(await readdir(data)).toEqual([".trash-bad", directoryName(10, 1)]);
    expect((await store.recordNumbers())[0]).toBeGreaterThan(lowest ?? 0);
  });

  test("finishes what a killed prune began, although the operator has it on record", async () => {
    const { store, saved } = await savedRun([10, 20, 30]);
    const remove = store.remove.bind(store);
    store.remove = () => Promise.reject(new Error("killed"));
    const verified = saved.map(({ manifest }) => manifest.digest);
    const policy = { last: 2, best: null, everySteps: null, maxBytes: null };
    const request = { attempt: 1, policy, verified, recorded: [], now: "2026-01-01T00:00:00.000Z" };
    await expect(prune(store, request)).rejects.toThrow("killed");
    store.remove = remove;
    const recorded = saved.map(({ manifest: { step, digest } }) => ({ step, digest }));
    expect(resumedAt(await restore(store, 2, expecting({ recorded })))).toBe(30);
    expect(await readdir(join(store.root, "data"))).toEqual([20, 30].map((step) => directoryName(step, 1)));
  });

  test("remembers what a killed prune began when its own process died between its open and its sweep", async () => {
    const { store, saved } = await savedRun([10, 20, 30]);
    const verified = saved.map(({ manifest }) => manifest.digest);
    const policy = { last: 2, best: null, everySteps: null, maxBytes: null };
    store.remove = () => Promise.reject(new Error("killed"));
    await expect(
      prune(store, { attempt: 1, policy, verified, recorded: [], now: "2026-01-01T00:00:00.000Z" }),
    ).rejects.toThrow("killed");
    const recorded = saved.map(({ manifest: { step, digest } }) => ({ step, digest }));
    const dying = fresh(store);
    dying.removeTemporaries = () => Promise.reject(new Error("killed"));
    await expect(restore(dying, 2, expecting({ recorded }))).rejects.toThrow("killed");
    expect((await readLog(fresh(store))).state).toMatchObject({ opened: { attempt: 2 }, deleted: [] });
    expect(resumedAt(await restore(fresh(store), 2, expecting({ recorded })))).toBe(30);
    expect(await readdir(join(store.root, "data"))).toEqual([20, 30].map((step) => directoryName(step, 1)));
  });

  test("gives a checkpoint its name whose settling was cut off, and keeps what a repair left beside one", async () => {
    const { store } = await savedRun([10, 20, 30]);
    const data = join(store.root, "data");
    const aside = (step: number) => join(data, settlingName(directoryName(step, 1), "0a"));
    await rename(join(data, directoryName(10, 1)), aside(10));
    await mkdir(aside(20));
    await mkdir(aside(15));
    expect(resumedAt(await restore(store, 2))).toBe(30);
    const names = [10, 20, 30].map((step) => directoryName(step, 1));
    expect((await readdir(data)).sort()).toEqual([basename(aside(20)), ...names]);
  });

  test("mends a damaged checkpoint from the whole copy that a killed repair left aside", async () => {
    const { store } = await savedRun([10, 20]);
    const name = directoryName(20, 1);
    await cp(pathIn(store, name), pathIn(store, settlingName(name, "0a")), { recursive: true });
    await flipBit(model(store, 20), 4000);
    const outcome = await restore(store, 2);
    expect(resumedAt(outcome)).toBe(20);
    expect(outcome.warnings).toEqual([
      expect.stringMatching(/^Repaired step-000000000020-a0001 from what a repair left aside: .*model\.safetensors/),
    ]);
    expect(await readdir(join(store.root, "data"))).toEqual([10, 20].map((step) => directoryName(step, 1)));
  });

  test("sweeps what was left aside of the checkpoint that it has found whole, and of no other", async () => {
    const { store } = await savedRun([10, 20, 30]);
    const names = [10, 20, 30].map((step) => directoryName(step, 1));
    const aside = names.map((name) => settlingName(name, "0a"));
    for (const [index, name] of names.entries()) {
      await cp(pathIn(store, name), pathIn(store, aside[index] ?? ""), { recursive: true });
    }
    await rm(pathIn(store, directoryName(30, 1), "model.safetensors"));
    await rm(pathIn(store, aside[2] ?? "", "model.safetensors"));
    // What cannot be mended from either copy is refused, with both of them as evidence.
    expect(resumedAt(await restore(store, 2))).toBe(20);
    expect((await readdir(join(store.root, "data"))).sort()).toEqual([aside[0], aside[2], ...names]);
  });

  test("leaves alone what is aside where the name was taken away since it was matched", async () => {
    const { store } = await savedRun([10]);
    const name = directoryName(10, 1);
    const [aside, trash] = [settlingName(name, "0a"), `.trash-${name}-x`];
    await cp(pathIn(store, name), pathIn(store, aside), { recursive: true });
    // A repair that is cut off: the name is free when its own copy is about to get it.
    const names = store.names.bind(store);
    store.names = async () => {
      const found = await names();
      const isSweeping = (await readLog(store)).state.opened?.attempt === 2;
      if (isSweeping) await rename(pathIn(store, name), pathIn(store, trash)).catch(() => undefined);
      return found;
    };
    expect(resumedAt(await restore(store, 2))).toBe(10);
    expect(await readdir(join(store.root, "data"))).toEqual([aside, trash]);
    const opened = await openDirectoryStore(store.root, { runUid });
    expect(resumedAt(await restore(opened, 3))).toBe(10);
    expect(await readdir(join(store.root, "data"))).toEqual([name]);
  });
});

/** The same directory as another process sees it, without what this one has read. */
function fresh(store: DirectoryStore): DirectoryStore {
  return new DirectoryStore(store.root, store.runUid);
}
