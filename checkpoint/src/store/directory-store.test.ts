import { mkdir, open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { runUid, temporaryDirectory } from "../../test/fixture.ts";
import { openDirectoryStore } from "./directory-store.ts";

test("A store makes the names of all directories durable that it has made", async () => {
  const base = await temporaryDirectory();
  const synced = await watchSyncs(base);
  await openDirectoryStore(join(base, "volume/runs/one"), { runUid });
  for (const name of ["", "volume", "volume/runs", "volume/runs/one"]) {
    expect(synced.has((await stat(join(base, name))).ino), `sync of ${name}`).toBe(true);
  }
});

test("A store settles a checkpoint beside what an earlier release left aside under its name", async () => {
  const base = await temporaryDirectory();
  const store = await openDirectoryStore(base, { runUid });
  const [name, aside] = ["step-000000000010-a0001", ".settling-step-000000000010-a0001"];
  for (const directory of [name, aside]) await mkdir(join(base, "data", directory, directory), { recursive: true });
  await store.settle(name);
  expect((await readdir(join(base, "data"))).sort()).toEqual([aside, name]);
  expect(await readdir(join(base, "data", name))).toEqual([name]);
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
