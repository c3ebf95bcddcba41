import fs, { mkdir, open, readdir, stat } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { basename, join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { runUid, temporaryDirectory } from "../../test/fixture.ts";
import { directoryName, settlingName } from "../directory-name.ts";
import { openDirectoryStore } from "./directory-store.ts";

test("A store makes the names of all directories durable that it has made", async () => {
  const base = await temporaryDirectory();
  const synced = await watchSyncs(base);
  await openDirectoryStore(join(base, "volume/runs/one"), { runUid });
  for (const name of ["", "volume", "volume/runs", "volume/runs/one"]) {
    expect(synced.has((await stat(join(base, name))).ino), `sync of ${name}`).toBe(true);
  }
});

test("A store settles a checkpoint beside what another process left aside under its name", async () => {
  const base = await temporaryDirectory();
  const store = await openDirectoryStore(base, { runUid });
  const name = directoryName(10, 1);
  const aside = settlingName(name, "0a");
  for (const directory of [name, aside]) await mkdir(join(base, "data", directory, directory), { recursive: true });
  await store.settle(name);
  expect((await readdir(join(base, "data"))).sort()).toEqual([aside, name]);
  expect(await readdir(join(base, "data", name))).toEqual([name]);
});

test("A store that is opened gives the names of all that are aside but what cannot have its own", async () => {
  const base = await temporaryDirectory();
  await openDirectoryStore(base, { runUid });
  const stuck = directoryName(10, 1);
  const free = directoryName(20, 1);
  const data = join(base, "data");
  for (const name of ["", "other", stuck, free]) await mkdir(join(data, settlingName(name, "0a")));
  await mkdir(join(data, `.settling-${directoryName(30, 1)}`));
  const { rename } = fs;
  const watched = vi.spyOn(fs, "rename").mockImplementation((from, to) => {
    return basename(String(to)) === stuck
      ? Promise.reject(Object.assign(new Error("EUCLEAN"), { code: "EUCLEAN" }))
      : rename(from, to);
  });
  syncBuiltinESMExports();
  await openDirectoryStore(base, { runUid }).finally(() => {
    watched.mockRestore();
    syncBuiltinESMExports();
  });
  expect((await readdir(data)).sort()).toEqual([
    ".settling-0a-",
    ".settling-0a-other",
    `.settling-0a-${stuck}`,
    `.settling-${directoryName(30, 1)}`,
    free,
  ]);
});

/** The numbers of all files and directories that are synced from now on. */
async function watchSyncs(directory: string): Promise<Set<number>> {
  const handle = await open(directory);
  const prototype: typeof handle = Object.getPrototypeOf(handle);
  const { sync } = prototype;
  await handle.close();
  const synced = new Set<number>();
  const watched = vi.spyOn(prototype, "sync").mockImplementation(async function (this: typeof handle) {
    synced.add((await this.stat()).ino);
    return sync.call(this);
  });
  onTestFinished(() => watched.mockRestore());
  return synced;
}
