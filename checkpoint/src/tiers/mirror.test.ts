import { stat } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { deleteFile } from "../../test/damage.ts";
import { pathIn, savedRun } from "../../test/fixture.ts";
import type { DirectoryStore } from "../store/directory-store.ts";
import type { Store, StoredCheckpoint } from "../store/store.ts";
import { readMirrored } from "./mirror.ts";

describe("What is mirrored already", () => {
  test("is told by one listing of each checkpoint: no file but the manifest is looked at", async () => {
    const { store, saved } = await savedRun([10, 20]);
    const opened: string[] = [];
    const mirrored = await readMirrored(listing(store, { onOpen: async (path) => void opened.push(path) }));
    expect(mirrored).toEqual(new Set(saved.map(({ manifest }) => manifest.digest)));
    expect(opened).toEqual(["MANIFEST.json", "MANIFEST.json"]);
  });

  test("is looked at by itself where the listing leaves it out, or lags behind", async () => {
    const { store, saved } = await savedRun([10, 20]);
    const [kept, lost] = saved.map(({ manifest, directory }) => ({ digest: manifest.digest, directory }));
    await deleteFile(pathIn(store, lost?.directory ?? "", "state.json"));
    const opened: string[] = [];
    const onOpen = async (path: string) => void opened.push(path);
    const mirrored = await readMirrored(listing(store, { onOpen, leavingOut: "state.json" }));
    expect(mirrored).toEqual(new Set([kept?.digest]));
    expect(opened.sort()).toEqual(["MANIFEST.json", "MANIFEST.json", "state.json", "state.json"]);
  });

  test("is read of several checkpoints at once", async () => {
    const { store, saved } = await savedRun([10, 20]);
    const both = Promise.withResolvers<void>();
    let begun = 0;
    const onOpen = () => {
      begun += 1;
      if (begun === 2) both.resolve();
      return both.promise;
    };
    expect((await readMirrored(listing(store, { onOpen }))).size).toBe(saved.length);
  });
});

type Watch = Readonly<{ onOpen: (path: string) => Promise<void>; leavingOut?: string }>;

/** The same store, whose listings tell sizes as a bucket's do. */
function listing(store: DirectoryStore, { onOpen, leavingOut }: Watch): Store {
  const sized = (directory: string): StoredCheckpoint => {
    const checkpoint = store.checkpoint(directory);
    return {
      location: checkpoint.location,
      open: async (path, from) => {
        await onOpen(path);
        return checkpoint.open(path, from);
      },
      entries: async (limit) => {
        const found = (await checkpoint.entries(limit)) ?? [];
        return Promise.all(
          found
            .filter(({ path }) => path !== leavingOut)
            .map(async (entry) => ({ ...entry, bytes: (await stat(pathIn(store, directory, entry.path))).size })),
        );
      },
    };
  };
  return new Proxy<Store>(store, {
    get(target, name) {
      if (name === "checkpoint") return sized;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
