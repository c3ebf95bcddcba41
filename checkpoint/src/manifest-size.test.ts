import { expect, test } from "vitest";
import { save, savedRun } from "../test/fixture.ts";
import { bytesFile } from "./file-source.ts";
import { chunkBytes, limits } from "./limits.ts";
import { manifestBytes } from "./manifest.ts";
import { manifestSize } from "./manifest-size.ts";

const opaque = (path: string, bytes: number) => bytesFile(path, "opaque", new Uint8Array(bytes));

test("the size of a manifest is known before it is there, to the byte", async () => {
  const { store } = await savedRun([]);
  const files = [
    opaque("empty", 0),
    opaque('a "name" of ü', 1),
    opaque("one", chunkBytes),
    opaque("two", chunkBytes + 1),
  ];
  const { manifest } = await save(store, 1, 10, { files, epoch: 2.5 });
  const { format: _, totals: __, digest: ___, ...planned } = manifest;
  expect(manifestSize({ ...planned, files })).toBe(manifestBytes(manifest).byteLength);
});

test("as many files as there may be fit a manifest, under the longest names and in the most chunks", async () => {
  const { store } = await savedRun([]);
  const { manifest } = await save(store, 1, 10, { files: [opaque("x", 1)] });
  const { format: _, totals: __, digest: ___, ...planned } = manifest;
  const files = Array.from({ length: limits.files }, (_, index) => {
    const path = `${"n".repeat(255)}/${String(index).padStart(255, "n")}`;
    return { path, kind: "opaque" as const, bytes: index === 0 ? (limits.chunks - limits.files + 1) * chunkBytes : 1 };
  });
  expect(manifestSize({ ...planned, files })).toBeLessThan(limits.manifestBytes);
});
