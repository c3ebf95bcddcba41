import { execFileSync } from "node:child_process";
import { cp, mkdir, rename, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { canonicalJson } from "../../src/canonical-json.ts";
import { directoryName } from "../../src/directory-name.ts";
import { DirectoryStore } from "../../src/store/directory-store.ts";
import { verifyCheckpoint } from "../../src/verify.ts";
import { deleteFile, flipBit, swapFiles, truncateFile, zeroRange } from "../damage.ts";
import { pathIn, savedRun } from "../fixture.ts";
import { seal } from "../seal.ts";

type Place = Readonly<{ directory: string; other: string }>;

const attacks: { what: string; attack: (place: Place) => Promise<unknown>; reason: string }[] = [
  {
    what: "a directory that is gone",
    attack: ({ directory }) => rm(directory, { recursive: true }),
    reason: "Missing",
  },
  {
    what: "a file in the directory's place",
    attack: async ({ directory }) => {
      await rm(directory, { recursive: true });
      await writeFile(directory, "");
    },
    reason: "NotAFile",
  },
  {
    what: "a link in the directory's place, to its very bytes",
    attack: async ({ directory }) => {
      await rename(directory, `${directory}-elsewhere`);
      await symlink(`${directory}-elsewhere`, directory);
    },
    reason: "NotAFile",
  },
  {
    what: "no manifest",
    attack: ({ directory }) => deleteFile(join(directory, "MANIFEST.json")),
    reason: "ManifestMissing",
  },
  {
    what: "another checkpoint's manifest",
    attack: ({ directory, other }) => cp(join(other, "MANIFEST.json"), join(directory, "MANIFEST.json")),
    reason: "ManifestDiffers",
  },
  {
    what: "another checkpoint whole",
    attack: async ({ directory, other }) => {
      await rm(directory, { recursive: true });
      await cp(other, directory, { recursive: true });
    },
    reason: "ManifestDiffers",
  },
  {
    what: "a manifest of 1 GiB",
    attack: ({ directory }) => truncate(join(directory, "MANIFEST.json"), 2 ** 30),
    reason: "ManifestInvalid",
  },
  {
    what: "a missing file",
    attack: ({ directory }) => deleteFile(join(directory, "state.json")),
    reason: "FileMissing",
  },
  {
    what: "an extra file",
    attack: ({ directory }) => writeFile(join(directory, "model.pickle"), "x"),
    reason: "FileExtra",
  },
  {
    what: "an extra file further down",
    attack: async ({ directory }) => {
      await mkdir(join(directory, "a/b"), { recursive: true });
      await writeFile(join(directory, "a/b/c"), "x");
    },
    reason: "FileExtra",
  },
  {
    what: "a link instead of a file",
    attack: async ({ directory }) => {
      await rename(join(directory, "state.json"), `${directory}-aside`);
      await symlink(`${directory}-aside`, join(directory, "state.json"));
    },
    reason: "NotAFile",
  },
  {
    what: "a link to a directory",
    attack: ({ directory, other }) => symlink(other, join(directory, "more")),
    reason: "NotAFile",
  },
  {
    what: "a pipe instead of a file",
    attack: async ({ directory }) => {
      await deleteFile(join(directory, "state.json"));
      execFileSync("mkfifo", [join(directory, "state.json")]);
    },
    reason: "NotAFile",
  },
  {
    what: "a directory instead of a file",
    attack: async ({ directory }) => {
      await deleteFile(join(directory, "state.json"));
      await mkdir(join(directory, "state.json"));
    },
    reason: "FileMissing",
  },
  {
    what: "a truncated file",
    attack: ({ directory }) => truncateFile(join(directory, "model.safetensors"), 100),
    reason: "SizeDiffers",
  },
  {
    what: "a longer file",
    attack: ({ directory }) => truncate(join(directory, "model.safetensors"), 4096),
    reason: "SizeDiffers",
  },
  {
    what: "a zeroed tail of the right size",
    attack: ({ directory }) => zeroRange(join(directory, "model.safetensors"), { from: 800, bytes: 4096 }),
    reason: "BytesDiffer",
  },
  {
    what: "a header that is damaged",
    attack: ({ directory }) => flipBit(join(directory, "model.safetensors"), 0),
    reason: "TensorsInvalid",
  },
  {
    what: "a flipped bit in a weight",
    attack: ({ directory }) => flipBit(join(directory, "model.safetensors"), 8 * 1000 + 3),
    reason: "BytesDiffer",
  },
  {
    what: "two files swapped",
    attack: ({ directory }) => swapFiles(join(directory, "model.safetensors"), join(directory, "state.json")),
    reason: "SizeDiffers",
  },
  {
    what: "another step's weights of the same size",
    attack: ({ directory, other }) => cp(join(other, "model.safetensors"), join(directory, "model.safetensors")),
    reason: "BytesDiffer",
  },
  {
    what: "names without end",
    attack: async ({ directory }) => {
      await mkdir(join(directory, "n"));
      for (let n = 0; n < 20_001; n += 1) await writeFile(join(directory, "n", String(n)), "");
    },
    reason: "FileExtra",
  },
];

describe("a checkpoint's directory that was tampered with", () => {
  test.each(attacks)(
    "is refused as $reason: $what",
    async ({ attack, reason }) => {
      const { store, saved } = await savedRun([10, 20]);
      const directory = pathIn(store, directoryName(10, 1)).replace(/\/$/, "");
      const digest = saved[0]?.manifest.digest ?? null;
      expect(await verifyCheckpoint(store, { digest, directory: directoryName(10, 1) })).toMatchObject({ ok: true });
      await attack({ directory, other: pathIn(store, directoryName(20, 1)) });
      const verdict = await verifyCheckpoint(store, { digest, directory: directoryName(10, 1) });
      expect(verdict).toMatchObject({ ok: false, reason });
      expect(verdict.ok ? "" : verdict.message).toMatch(/^Cannot accept .* because /);
    },
    120_000,
  );

  test("is refused under another name, and in another run's store", async () => {
    const { store, saved } = await savedRun([10]);
    const digest = saved[0]?.manifest.digest ?? null;
    const otherRun = new DirectoryStore(store.root, "another-run");
    expect(await verifyCheckpoint(otherRun, { digest, directory: directoryName(10, 1) })).toMatchObject({
      reason: "WrongPlace",
    });
    await rename(pathIn(store, directoryName(10, 1)), pathIn(store, directoryName(11, 1)));
    expect(await verifyCheckpoint(store, { digest, directory: directoryName(11, 1) })).toMatchObject({
      reason: "WrongPlace",
    });
  });

  test("of a later format is refused by name, and not as damage", async () => {
    const { store, saved } = await savedRun([10]);
    const manifest = saved[0]?.manifest;
    const directory = directoryName(10, 1);
    const put = (value: object) => writeFile(pathIn(store, directory, "MANIFEST.json"), canonicalJson(value));
    await put(seal({ ...manifest, format: 2 }));
    await expect(verifyCheckpoint(store, { digest: null, directory })).rejects.toThrow(
      "Cannot read the manifest because its format is 2 and this program reads 1: use a release that knows it",
    );
    await put({ ...manifest, format: 2 });
    expect(await verifyCheckpoint(store, { digest: null, directory })).toMatchObject({ reason: "ManifestInvalid" });
  });

  test("is refused for any flipped bit of its tensors (sampled) and its state (all of them)", async () => {
    const { store, saved } = await savedRun([10]);
    const digest = saved[0]?.manifest.digest ?? null;
    const name = directoryName(10, 1);
    const bits = [
      ...Array.from({ length: 150 }, (_, index) => ({ file: "model.safetensors", bit: (index * 7919) % (1100 * 8) })),
      ...Array.from({ length: 30 * 8 }, (_, bit) => ({ file: "state.json", bit })),
    ];
    let refused = 0;
    for (const { file, bit } of bits) {
      await flipBit(pathIn(store, name, file), bit);
      const verdict = await verifyCheckpoint(store, { digest, directory: name });
      expect(verdict.ok, `${file} bit ${bit}`).toBe(false);
      refused += 1;
      await flipBit(pathIn(store, name, file), bit);
    }
    expect(refused).toBe(390);
    expect(await verifyCheckpoint(store, { digest, directory: name })).toMatchObject({ ok: true, rereads: 0 });
  }, 120_000);
});
