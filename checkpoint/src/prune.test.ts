import { cp, mkdir, readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { pathIn, restore, runUid, savedRun } from "../test/fixture.ts";
import { settlingName } from "./directory-name.ts";
import { FencedError } from "./log/append.ts";
import { prune } from "./prune.ts";
import { DirectoryStore, openDirectoryStore } from "./store/directory-store.ts";
import { StorageUnavailableError } from "./store/store.ts";

const policy = { last: 2, best: null, everySteps: null, maxBytes: null };
const now = "2026-01-01T00:00:00.000Z";

describe("pruning", () => {
  test("wins a tombstone, then removes the bytes, and says what stays and why", async () => {
    const { store, saved } = await savedRun([10, 20, 30]);
    const verified = saved.map(({ manifest }) => manifest.digest);
    const { removed, plan, state } = await prune(store, { attempt: 1, policy, verified, recorded: [], now });
    expect(removed.map(({ step }) => step)).toEqual([10]);
    expect(plan.keep.map(({ ref, reasons }) => [ref.step, reasons])).toEqual([
      [20, ["verified", "last"]],
      [30, ["verified", "last"]],
    ]);
    expect(state.deleted).toEqual([{ digest: verified[0], directory: saved[0]?.directory }]);
    expect(await readdir(join(store.root, "data"))).toEqual([saved[1]?.directory, saved[2]?.directory]);
    const again = await prune(store, { attempt: 1, policy, verified, recorded: [], now });
    expect(again.removed).toEqual([]);
  });

  test("finishes what a killed prune began", async () => {
    const { store, saved } = await savedRun([10, 20, 30]);
    const verified = saved.map(({ manifest }) => manifest.digest);
    const remove = store.remove.bind(store);
    store.remove = () => Promise.reject(new Error("killed"));
    await expect(prune(store, { attempt: 1, policy, verified, recorded: [], now })).rejects.toThrow("killed");
    store.remove = remove;
    expect(await readdir(join(store.root, "data"))).toHaveLength(3);
    await prune(store, { attempt: 1, policy, verified, recorded: [], now });
    expect(await readdir(join(store.root, "data"))).toHaveLength(2);
  });

  test("empties the trash that a killed prune left, where the device lets it", async () => {
    const { store, saved } = await savedRun([10, 20, 30]);
    const verified = saved.map(({ manifest }) => manifest.digest);
    const data = join(store.root, "data");
    for (const name of [".trash-bad", ".trash-step-000000000005-a0001-x"])
      await mkdir(join(data, name, "more"), { recursive: true });
    store.remove = async (name) => {
      if (name === ".trash-bad") throw new StorageUnavailableError("Cannot remove: EIO");
      await DirectoryStore.prototype.remove.call(store, name);
    };
    const { removed, warning } = await prune(store, { attempt: 1, policy, verified, recorded: [], now });
    expect(removed).toHaveLength(1);
    expect(warning?.message).toBe("Cannot remove: EIO");
    expect(await readdir(data)).toEqual([".trash-bad", saved[1]?.directory, saved[2]?.directory]);
  });

  test("takes what was left aside of a checkpoint with it, and leaves that of those that stay", async () => {
    const { store, saved } = await savedRun([10, 20, 30]);
    const verified = saved.map(({ manifest }) => manifest.digest);
    const data = join(store.root, "data");
    const [gone = "", kept = "", newest = ""] = saved.map(({ directory }) => directory);
    for (const name of [gone, kept])
      await cp(join(data, name), join(data, settlingName(name, "0a")), { recursive: true });
    await prune(store, { attempt: 1, policy, verified, recorded: [], now });
    expect(await readdir(data)).toEqual([settlingName(kept, "0a"), kept, newest]);
  });

  test("takes what is aside before what has the name, which nobody can give to the other then", async () => {
    const { store, saved } = await savedRun([10, 20, 30]);
    const verified = saved.map(({ manifest }) => manifest.digest);
    const data = join(store.root, "data");
    const [gone = "", ...kept] = saved.map(({ directory }) => directory);
    await cp(join(data, gone), join(data, settlingName(gone, "0a")), { recursive: true });
    store.remove = async (name) => {
      if (name === gone) throw new Error("killed");
      await DirectoryStore.prototype.remove.call(store, name);
    };
    const request = { attempt: 1, policy, verified, recorded: [], now };
    await expect(prune(store, request)).rejects.toThrow("killed");
    expect(await readdir(data)).toEqual([gone, ...kept]);
    const next = await openDirectoryStore(store.root, { runUid });
    await prune(next, request);
    expect(await readdir(data)).toEqual(kept);
  });

  test("goes on past one that the device does not let go of, in this prune and the next", async () => {
    const { store, saved } = await savedRun([10, 20, 30, 40]);
    const verified = saved.map(({ manifest }) => manifest.digest);
    const [stuck] = saved.map(({ directory }) => directory);
    store.remove = async (name) => {
      if (name === stuck) throw new StorageUnavailableError("Cannot remove: EUCLEAN");
      await DirectoryStore.prototype.remove.call(store, name);
    };
    const request = { attempt: 1, policy, verified, recorded: [], now };
    expect((await prune(store, request)).warning?.message).toBe("Cannot remove: EUCLEAN");
    expect(await readdir(join(store.root, "data"))).toEqual([stuck, saved[2]?.directory, saved[3]?.directory]);
    const again = await prune(store, { ...request, policy: { ...policy, last: 1 }, verified: verified.slice(2) });
    expect(again.warning?.message).toBe("Cannot remove: EUCLEAN");
    expect(again.plan.keep.map(({ ref }) => ref.step)).toEqual([30, 40]);
  });

  test("by a fenced attempt removes nothing", async () => {
    const { store, saved } = await savedRun([10, 20, 30]);
    await restore(store, 2);
    const verified = saved.map(({ manifest }) => manifest.digest);
    await expect(prune(store, { attempt: 1, policy, verified, recorded: [], now })).rejects.toThrow(
      "Cannot prune for attempt 1 because attempt 2 has opened the log",
    );
    expect(await readdir(join(store.root, "data"))).toHaveLength(3);
  });

  test("stops where a newer attempt has opened the log since: what that one brought back stays", async () => {
    const { store, saved } = await savedRun([10, 20, 30, 40]);
    const verified = saved.map(({ manifest }) => manifest.digest);
    const broughtBack = pathIn(store, "step-000000000020-a0001");
    store.remove = async (name) => {
      await DirectoryStore.prototype.remove.call(store, name);
      // The process sleeps between its first removal and its second.
      await restore(new DirectoryStore(store.root, runUid), 2);
      await mkdir(broughtBack, { recursive: true });
    };
    await expect(prune(store, { attempt: 1, policy, verified, recorded: [], now })).rejects.toThrow(FencedError);
    expect(await readdir(join(store.root, "data"))).toContain(basename(broughtBack));
  });
});
