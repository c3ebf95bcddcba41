import fs, { readdir, readFile, rm } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { basename, join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { deleteFile, flipBit, truncateFile, zeroRange } from "../../test/damage.ts";
import { filesOf, pathIn, restore, runUid, save, temporaryStore } from "../../test/fixture.ts";
import { bytesFile } from "../file-source.ts";
import { chunkBytes } from "../limits.ts";
import type { SavedCheckpoint } from "../save.ts";
import { type DirectoryStore, openDirectoryStore } from "../store/directory-store.ts";
import { verifyCheckpoint } from "../verify.ts";
import { assembleCheckpoint } from "./assemble.ts";

/** Two tiers that hold the same checkpoint, of one large file in three chunks and the usual small ones. */
async function twoCopies() {
  const { first, saved } = await oneCopy();
  const second = await temporaryStore();
  expect(await assemble({ to: second, from: [first], saved })).toMatchObject({ kind: "assembled", damages: [] });
  return { first, second, saved };
}

async function oneCopy() {
  const first = await temporaryStore();
  await restore(first, 1);
  const large = new Uint8Array(2 * chunkBytes + 1000).map((_, index) => (index * 7919) % 251);
  const saved = await save(first, 1, 10, { files: [...filesOf(10), bytesFile("large.bin", "opaque", large)] });
  return { first, saved };
}

const refOf = ({ manifest, directory }: SavedCheckpoint) => ({ digest: manifest.digest, directory });

type Request = { to: DirectoryStore; from: readonly DirectoryStore[]; saved: SavedCheckpoint };

function assemble({ to, from, saved }: Request, signal?: AbortSignal) {
  return assembleCheckpoint({ to, from, checkpoint: refOf(saved), signal });
}

const verdict = (store: DirectoryStore, saved: SavedCheckpoint) => verifyCheckpoint(store, refOf(saved));

describe("A checkpoint assembled from the copies in other tiers", () => {
  test("has the bytes, names and manifest of the one that it was made from", async () => {
    const { first, second, saved } = await twoCopies();
    expect(await verdict(second, saved)).toMatchObject({ ok: true });
    const manifestOf = (store: DirectoryStore) => readFile(pathIn(store, saved.directory, "MANIFEST.json"));
    expect(await manifestOf(second)).toEqual(await manifestOf(first));
  });

  test("has all of many small files, in directories that they share, or none of them", async () => {
    const first = await temporaryStore();
    await restore(first, 1);
    const names = Array.from({ length: 200 }, (_, index) => `shards/${index % 7}/rank-${index}.bin`);
    const files = names.map((name, index) => bytesFile(name, "opaque", new Uint8Array(1000 + index).fill(index)));
    const saved = await save(first, 1, 10, { files: [...filesOf(10), ...files] });
    const to = await temporaryStore();
    expect(await assemble({ to, from: [first], saved })).toMatchObject({ kind: "assembled", damages: [] });
    expect(await verdict(to, saved)).toMatchObject({ ok: true });
    await flipBit(pathIn(first, saved.directory, names[150] ?? ""), 8);
    const none = await temporaryStore();
    expect(await assemble({ to: none, from: [first], saved })).toMatchObject({ kind: "impossible" });
    expect(await readdir(join(none.root, "data"))).toEqual([]);
  });

  const damages = {
    "a flipped bit in the last chunk": (path: string) => flipBit(path, 8 * (2 * chunkBytes + 500)),
    "a zeroed block in the first chunk": (path: string) => zeroRange(path, { from: 4096, bytes: 4096 }),
    "a cut file": (path: string) => truncateFile(path, chunkBytes),
    "a missing file": deleteFile,
  };
  test.for(Object.entries(damages))("is repaired after %s", async ([, damage]) => {
    const { first, second, saved } = await twoCopies();
    await damage(pathIn(second, saved.directory, "large.bin"));
    expect(await verdict(second, saved)).toMatchObject({ ok: false });
    expect(await assemble({ to: second, from: [second, first], saved })).toMatchObject({ kind: "assembled" });
    expect(await verdict(second, saved)).toMatchObject({ ok: true });
    expect(await readdir(join(second.root, "data"))).toEqual([saved.directory]);
  });

  test("has its place when its repairer died as the damaged copy had made way, and the volume is opened again", async () => {
    const { first, second, saved } = await twoCopies();
    await flipBit(pathIn(second, saved.directory, "large.bin"), 77);
    await dyingAtRename("to", saved.directory, () => assemble({ to: second, from: [second, first], saved }));
    const reopened = await openDirectoryStore(second.root, { runUid });
    expect(await verdict(reopened, saved)).toMatchObject({ ok: true });
  });

  test("takes the place of a damaged copy that the device does not let go of", async () => {
    const { first, second, saved } = await twoCopies();
    await flipBit(pathIn(second, saved.directory, "large.bin"), 77);
    const failing = vi.spyOn(fs, "rm").mockRejectedValue(Object.assign(new Error("EIO"), { code: "EIO" }));
    syncBuiltinESMExports();
    const assembled = await assemble({ to: second, from: [second, first], saved }).finally(() => {
      failing.mockRestore();
      syncBuiltinESMExports();
    });
    expect(assembled).toMatchObject({ kind: "assembled" });
    expect(await verdict(second, saved)).toMatchObject({ ok: true });
  });

  test("stands whole after two repairs of it at once, whichever is held up where the damaged copy makes way", async () => {
    const { first, second, saved } = await twoCopies();
    await flipBit(pathIn(second, saved.directory, "large.bin"), 77);
    const held = holdingRenamesFrom(saved.directory, 2);
    const repair = () => assemble({ to: second, from: [second, first], saved });
    const zombie = repair();
    await held[0]?.reached;
    const newer = repair();
    await held[1]?.reached;
    held[0]?.release();
    expect(await zombie).toMatchObject({ kind: "assembled" });
    held[1]?.release();
    expect(await newer).toMatchObject({ kind: "assembled" });
    expect(await verdict(second, saved)).toMatchObject({ ok: true });
    expect(await readdir(join(second.root, "data"))).toEqual([saved.directory]);
  });

  test("stands whole after a repair that moved its own copy away, to which another process had given the name", async () => {
    const { first, second, saved } = await twoCopies();
    await flipBit(pathIn(second, saved.directory, "large.bin"), 77);
    const [held] = holdingRenamesFrom(saved.directory, 1);
    const repair = assemble({ to: second, from: [second, first], saved });
    await held?.reached;
    // Another repair has made the damaged copy make way and died, and the volume was opened.
    await rm(pathIn(second, saved.directory), { recursive: true });
    const reopened = await openDirectoryStore(second.root, { runUid });
    held?.release();
    expect(await repair).toMatchObject({ kind: "assembled" });
    expect(await verdict(reopened, saved)).toMatchObject({ ok: true });
    expect(await readdir(join(second.root, "data"))).toEqual([saved.directory]);
  });

  test("is repaired once more when its repairer died before the damaged copy made way", async () => {
    const { first, second, saved } = await twoCopies();
    await flipBit(pathIn(second, saved.directory, "large.bin"), 77);
    await dyingAtRename("from", saved.directory, () => assemble({ to: second, from: [second, first], saved }));
    const reopened = await openDirectoryStore(second.root, { runUid });
    expect(await verdict(reopened, saved)).toMatchObject({ ok: false });
    expect(await assemble({ to: reopened, from: [reopened, first], saved })).toMatchObject({ kind: "assembled" });
    expect(await verdict(reopened, saved)).toMatchObject({ ok: true });
    // Whether the other one is dead cannot be told: what it has aside stays.
    const aside = expect.stringMatching(new RegExp(`^\\.settling-[0-9a-f]{32}-${saved.directory}$`));
    expect((await readdir(join(second.root, "data"))).sort()).toEqual([aside, saved.directory]);
  });

  test("is made whole from two copies that are damaged in different chunks, and says which were", async () => {
    const { first, second, saved } = await twoCopies();
    await flipBit(pathIn(first, saved.directory, "large.bin"), 77);
    await flipBit(pathIn(second, saved.directory, "large.bin"), 8 * (chunkBytes + 3));
    const assembled = await assemble({ to: second, from: [second, first], saved });
    const location = second.checkpoint(saved.directory).location;
    expect(assembled).toMatchObject({ kind: "assembled", damages: [{ location, path: "large.bin", chunk: 1 }] });
    expect(await verdict(second, saved)).toMatchObject({ ok: true });
  });

  test("is not made where no copy has a chunk right, and what was there stays", async () => {
    const { first, second, saved } = await twoCopies();
    for (const store of [first, second]) await flipBit(pathIn(store, saved.directory, "large.bin"), 77);
    const before = await readFile(pathIn(second, saved.directory, "large.bin"));
    expect(await assemble({ to: second, from: [second, first], saved })).toMatchObject({
      kind: "impossible",
      message: expect.stringContaining('chunk 0 of "large.bin" does not match in any of 2 copies'),
    });
    expect(before.equals(await readFile(pathIn(second, saved.directory, "large.bin")))).toBe(true);
    expect(await readdir(join(second.root, "data"))).toEqual([saved.directory]);
  });

  test("is not made from a copy with another manifest", async () => {
    const { first, saved } = await oneCopy();
    const to = await temporaryStore();
    const digest = `blake3:${"0".repeat(64)}`;
    const assembled = await assembleCheckpoint({ to, from: [first], checkpoint: { ...refOf(saved), digest } });
    expect(assembled).toMatchObject({ kind: "impossible", message: expect.stringContaining(digest) });
    expect(await readdir(join(to.root, "data"))).toEqual([]);
  });

  test("leaves nothing behind when it is stopped, and can be begun again", async () => {
    const { first, saved } = await oneCopy();
    const to = await temporaryStore();
    const stop = new AbortController();
    const stopped = assembleCheckpoint({
      to,
      from: [first],
      checkpoint: refOf(saved),
      signal: stop.signal,
      onBytes: () => stop.abort(new Error("stopped")),
    });
    await expect(stopped).rejects.toThrow("stopped");
    expect(await readdir(join(to.root, "data"))).toEqual([]);
    expect(await assemble({ to, from: [first], saved })).toMatchObject({ kind: "assembled" });
  });

  test("is taken from the tier that still has it when the other lost it", async () => {
    const { first, second, saved } = await twoCopies();
    await rm(pathIn(first, saved.directory), { recursive: true });
    expect(await assemble({ to: first, from: [first, second], saved })).toMatchObject({ kind: "assembled" });
    expect(await verdict(first, saved)).toMatchObject({ ok: true });
  });
});

type Held = Readonly<{ reached: Promise<void>; release: () => void }>;

/** Holds so many renames of that name back, each until it is released. */
function holdingRenamesFrom(name: string, count: number): Held[] {
  const gates = Array.from({ length: count }, () => ({
    reached: Promise.withResolvers<void>(),
    released: Promise.withResolvers<void>(),
  }));
  const { rename } = fs;
  const waiting = [...gates];
  const watched = vi.spyOn(fs, "rename").mockImplementation(async (from, to) => {
    const gate = basename(String(from)) === name ? waiting.shift() : undefined;
    gate?.reached.resolve();
    await gate?.released.promise;
    await rename(from, to);
  });
  syncBuiltinESMExports();
  onTestFinished(() => {
    watched.mockRestore();
    syncBuiltinESMExports();
  });
  return gates.map(({ reached, released }) => ({ reached: reached.promise, release: () => released.resolve() }));
}

/** Lets `act` go on until it renames something from or to that name; from then on it renames nothing, as if it had died. */
async function dyingAtRename(side: "from" | "to", name: string, act: () => Promise<unknown>): Promise<void> {
  const { rename } = fs;
  let dead = false;
  const watched = vi.spyOn(fs, "rename").mockImplementation(async (from, to) => {
    dead ||= basename(String(side === "from" ? from : to)) === name;
    if (dead) throw new Error("killed");
    await rename(from, to);
  });
  syncBuiltinESMExports();
  try {
    await expect(act()).rejects.toThrow("killed");
  } finally {
    watched.mockRestore();
    syncBuiltinESMExports();
  }
}
