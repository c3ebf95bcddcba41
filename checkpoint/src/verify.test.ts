import fs, { readdir, rm, stat, truncate } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { flipBit } from "../test/damage.ts";
import { filesOf, pathIn, restore, runUid, save, savedRun, temporaryStore } from "../test/fixture.ts";
import { LentBuffers } from "./buffer-pool.ts";
import { directoryName } from "./directory-name.ts";
import { bytesFile } from "./file-source.ts";
import { healthy } from "./health.ts";
import { chunkBytes } from "./limits.ts";
import { manifestBytes, sealManifest } from "./manifest.ts";
import { FileSealer } from "./seal-file.ts";
import { DamagedFileError, StorageUnavailableError, type Store, type StoredFile } from "./store/store.ts";
import { verifyCheckpoint } from "./verify.ts";

/** The store, with something between it and whoever reads the bytes of its checkpoints. */
function reading(
  store: Store,
  read: (file: StoredFile, target: Uint8Array, position: number) => Promise<number>,
): Store {
  const checkpoint: Store["checkpoint"] = (directory) => {
    const stored = store.checkpoint(directory);
    return {
      location: stored.location,
      entries: (limit) => stored.entries(limit),
      open: async (path) => {
        const file = await stored.open(path);
        if (file === null || path !== "model.safetensors") return file;
        return {
          bytes: file.bytes,
          read: (target, at) => read(file, target, at),
          [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
        };
      },
    };
  };
  return Object.assign(Object.create(store), { tier: store.tier, runUid: store.runUid, checkpoint });
}

async function saved() {
  const { store, saved } = await savedRun([10]);
  return { store, expected: { digest: saved[0]?.manifest.digest ?? null, directory: directoryName(10, 1) } };
}

describe("verification", () => {
  test("reads a chunk once more before it counts as damaged", async () => {
    const { store, expected } = await saved();
    let reads = 0;
    const flaky = reading(store, async (file, target, position) => {
      const count = await file.read(target, position);
      // The third read is the first of the chunk: two were of the header.
      reads += 1;
      if (reads === 3) target[500] = (target[500] ?? 0) ^ 1;
      return count;
    });
    expect(await verifyCheckpoint(flaky, expected)).toMatchObject({ ok: true, rereads: 1 });
  });

  const passing = [
    { what: "a disk that fails", at: 3, fail: () => Promise.reject(new DamagedFileError("Cannot read: EIO")) },
    { what: "a header that came in wrong", at: 2, fail: (target: Uint8Array) => void target.fill(0) },
  ];
  test.each(passing)("looks again after $what once", async ({ at, fail }) => {
    const { store, expected } = await saved();
    let reads = 0;
    const flaky = reading(store, async (file, target, position) => {
      const count = await file.read(target, position);
      reads += 1;
      if (reads === at) await fail(target);
      return count;
    });
    expect(await verifyCheckpoint(flaky, expected)).toMatchObject({ ok: true, rereads: 1 });
  });

  test("looks again where the name was away for a moment", async () => {
    const { store, expected } = await saved();
    const { checkpoint } = store;
    let looks = 0;
    store.checkpoint = (directory) => {
      const stored = checkpoint.call(store, directory);
      looks += 1;
      return looks === 1 ? { ...stored, entries: async () => null } : stored;
    };
    expect(await verifyCheckpoint(store, expected)).toMatchObject({ ok: true });
    await rm(pathIn(store, expected.directory), { recursive: true });
    expect(await verifyCheckpoint(store, expected)).toMatchObject({ ok: false, reason: "Missing" });
  });

  const cuts = [
    { what: "at a chunk's end", left: chunkBytes },
    { what: "to nothing", left: 0 },
  ];
  test.each(cuts)("refuses a file that is cut $what between its cheap check and its bytes", async ({ left }) => {
    const { store } = await savedRun([]);
    const files = [bytesFile("model.safetensors", "opaque", new Uint8Array(2 * chunkBytes).fill(7))];
    const { manifest, directory } = await save(store, 1, 10, { files });
    const { checkpoint } = store;
    store.checkpoint = (name) => {
      const stored = checkpoint.call(store, name);
      return {
        ...stored,
        open: async (path, from) => {
          if (from === "Device" && path !== "MANIFEST.json") await truncate(pathIn(store, directory, path), left);
          return stored.open(path, from);
        },
      };
    };
    const cut = verifyCheckpoint(store, { digest: manifest.digest, directory });
    expect(await cut).toMatchObject({ ok: false, reason: "SizeDiffers", file: "model.safetensors" });
  });

  test("refuses a manifest that is whole only in this machine's memory: another node would find it damaged", async () => {
    const { store, expected } = await saved();
    const { checkpoint } = store;
    // As `DirectReader` does: what is not asked for in whole pages comes from memory.
    const readLost = async (file: StoredFile, target: Uint8Array, position: number) => {
      const read = await file.read(target, position);
      if (target.byteLength % 4096 === 0 && target.byteOffset % 4096 === 0) target[40] = 0;
      return read;
    };
    store.checkpoint = (name) => {
      const stored = checkpoint.call(store, name);
      return {
        ...stored,
        open: async (path, from) => {
          const file = await stored.open(path, from);
          if (from !== "Device" || path !== "MANIFEST.json" || file === null) return file;
          return {
            bytes: file.bytes,
            read: (target, position) => readLost(file, target, position),
            [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
          };
        },
      };
    };
    expect(await verifyCheckpoint(store, expected)).toMatchObject({ ok: false, reason: "ManifestInvalid" });
  });

  test("says that a checkpoint is unreadable when the disk says so of its directory", async () => {
    const { store, expected } = await saved();
    const { readdir: read } = fs;
    const failing = vi.spyOn(fs, "readdir").mockImplementation((async (path: string, options: object) => {
      if (path.includes(expected.directory)) throw Object.assign(new Error("EUCLEAN"), { code: "EUCLEAN" });
      return read(path, options);
    }) as typeof fs.readdir);
    syncBuiltinESMExports();
    const verdict = await verifyCheckpoint(store, expected).finally(() => {
      failing.mockRestore();
      syncBuiltinESMExports();
    });
    expect(verdict).toMatchObject({ ok: false, reason: "Unreadable" });
  });

  test("says that bytes are unreadable when the disk does, and that the tier is gone when it is", async () => {
    const { store, expected } = await saved();
    const broken = reading(store, () => Promise.reject(new DamagedFileError("Cannot read model.safetensors: EIO")));
    expect(await verifyCheckpoint(broken, expected)).toMatchObject({ ok: false, reason: "Unreadable" });
    const gone = reading(store, () => Promise.reject(new StorageUnavailableError("Cannot read: ESTALE")));
    await expect(verifyCheckpoint(gone, expected)).rejects.toThrow("ESTALE");
  });

  test("matches files of many chunks, empty files and nested names", async () => {
    const store = await temporaryStore();
    await restore(store, 1);
    const big = new Uint8Array(2 * chunkBytes + 5).map((_, index) => index % 253);
    const files = [
      ...filesOf(10),
      bytesFile("a/b/big.bin", "opaque", big),
      bytesFile("a/empty", "opaque", new Uint8Array(0)),
    ];
    const { manifest, directory, bytes } = await save(store, 1, 10, { files });
    expect(manifest.files.map(({ path, chunks }) => [path, chunks.length])).toEqual([
      ["a/b/big.bin", 3],
      ["a/empty", 0],
      ["model.safetensors", 1],
      ["state.json", 1],
    ]);
    const expected = { digest: manifest.digest, directory };
    expect(await verifyCheckpoint(store, expected)).toEqual({ ok: true, manifest, bytes, rereads: 0 });
    await flipBit(pathIn(store, directory, "a/b/big.bin"), 8 * (2 * chunkBytes + 4));
    expect(await verifyCheckpoint(store, expected)).toMatchObject({
      reason: "BytesDiffer",
      file: "a/b/big.bin",
      message: expect.stringContaining('chunk 2 of "a/b/big.bin" does not match, twice'),
    });
  });

  test("stops when it is told to", async () => {
    const { store, expected } = await saved();
    await expect(verifyCheckpoint(store, expected, { signal: AbortSignal.abort() })).rejects.toThrow("aborted");
  });

  test("is of files that the group can read", async () => {
    const { store, expected } = await saved();
    const directory = pathIn(store, expected.directory);
    expect((await stat(directory)).mode & 0o7777).toBe(0o2770);
    for (const name of await readdir(directory)) expect((await stat(join(directory, name))).mode & 0o777).toBe(0o640);
  });

  test("matches chunks of several pieces, as files of more than 100 GiB have them", async () => {
    const { store } = await savedRun([]);
    const content = new Uint8Array(20 * 1024 * 1024 + 9).map((_, index) => index >> 10);
    const place = { step: 10, attempt: 1 };
    const writer = await store.begin(place);
    await using buffers = new LentBuffers(2);
    const sealer = new FileSealer(bytesFile("model.bin", "opaque", content), { chunkBytes: 2 * chunkBytes, buffers });
    await writer.write("model.bin", sealer.pieces());
    const producer = { name: "test", version: "1" };
    const draft = {
      runUid,
      ...place,
      parent: null,
      metrics: [],
      health: healthy,
      producer,
      time: "2026-01-01T00:00:00Z",
    };
    const manifest = sealManifest({ ...draft, files: [sealer.seal()] });
    await writer.publish(manifestBytes(manifest));
    const [file] = manifest.files;
    expect(file?.chunks).toHaveLength(2);
    const expected = { digest: manifest.digest, directory: directoryName(10, 1) };
    expect(await verifyCheckpoint(store, expected)).toMatchObject({ ok: true, rereads: 0 });
    // In the first chunk's second piece.
    await flipBit(pathIn(store, expected.directory, "model.bin"), 8 * 9_000_000);
    expect(await verifyCheckpoint(store, expected)).toMatchObject({
      ok: false,
      reason: "BytesDiffer",
      file: "model.bin",
    });
  });
});
