import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { flipBit, swapFiles, truncateFile } from "../test/damage.ts";
import { pathIn, save, savedRun, temporaryDirectory } from "../test/fixture.ts";
import { BytesDifferError } from "./chunked-reader.ts";
import { loadCheckpoint } from "./load.ts";
import { InvalidTensorsError } from "./safetensors/format.ts";
import { type TensorSource, tensorsFile } from "./safetensors/write.ts";
import { openDirectoryStore } from "./store/directory-store.ts";
import { StorageUnavailableError } from "./store/store.ts";

describe("loading a checkpoint", () => {
  const damages: {
    what: string;
    damage: (model: string, state: string) => Promise<unknown>;
    load: "tensors" | "json";
  }[] = [
    { what: "a flipped bit in a weight", damage: (model) => flipBit(model, 8 * 1000), load: "tensors" },
    { what: "a file that is shorter", damage: (model) => truncateFile(model, 900), load: "tensors" },
    { what: "another file in its place", damage: swapFiles, load: "json" },
    { what: "a flipped bit in the state", damage: (_, state) => flipBit(state, 20), load: "json" },
  ];
  test.each(damages)(
    "hands over nothing of a file with $what, though it was verified before (I2)",
    async ({ damage, load }) => {
      const { store, saved } = await savedRun([10]);
      const [first] = saved;
      const directory = pathIn(store, first?.directory ?? "");
      const loaded = await loadCheckpoint(directory, { digest: first?.manifest.digest ?? "" });
      await damage(join(directory, "model.safetensors"), join(directory, "state.json"));
      const file = load === "tensors" ? loaded.tensors("model.safetensors") : loaded.json("state.json");
      await expect(file).rejects.toThrow(BytesDifferError);
    },
  );

  test.each([
    ["a flipped bit in the manifest", (manifest: string) => flipBit(manifest, 8 * 40)],
    ["a manifest of another format", (manifest: string) => writeFile(manifest, '{"format":2}')],
    ["an empty manifest", (manifest: string) => writeFile(manifest, "")],
  ])("says of %s that its bytes differ, though it was verified before", async (_, damage) => {
    const { store, saved } = await savedRun([10]);
    const [first] = saved;
    const directory = pathIn(store, first?.directory ?? "");
    await damage(join(directory, "MANIFEST.json"));
    const loading = loadCheckpoint(directory, { digest: first?.manifest.digest ?? "" });
    await expect(loading).rejects.toThrow(BytesDifferError);
    await expect(loading).rejects.toThrow("is damaged");
  });

  test("ends with the signal's reason as soon as it is aborted", async () => {
    const { store, saved } = await savedRun([10]);
    const [first] = saved;
    const stop = new AbortController();
    const options = { digest: first?.manifest.digest ?? "", signal: stop.signal };
    const loaded = await loadCheckpoint(pathIn(store, first?.directory ?? ""), options);
    stop.abort(new Error("asked to stop"));
    await expect(loaded.tensors("model.safetensors")).rejects.toThrow("asked to stop");
    await expect(loaded.json("state.json")).rejects.toThrow("asked to stop");
  });

  /** 60 MiB: more than is read ahead before the header is known. `odd` leaves what follows it off every alignment. */
  const large: TensorSource[] = [
    { name: "a", dtype: "F32", shape: [5_000_000], bytes: pattern(20_000_000) },
    { name: "odd", dtype: "F32", shape: [1_000_001], bytes: pattern(4_000_004) },
    { name: "small", dtype: "F32", shape: [3], bytes: pattern(12) },
    { name: "z", dtype: "F32", shape: [9_000_000], bytes: pattern(36_000_000) },
  ];

  test("reads large files into the tensors' own memory, wherever pages and chunks end", async () => {
    const { loaded } = await largeCheckpoint();
    const { tensors } = await loaded.tensors("model.safetensors");
    expect([...tensors.keys()]).toEqual(["a", "odd", "small", "z"]);
    // Not copied: what was read to lies in one memory.
    expect(tensors.get("a")?.bytes.buffer).toBe(tensors.get("z")?.bytes.buffer);
    for (const { name, bytes } of large) {
      const read = tensors.get(name)?.bytes ?? new Uint8Array(0);
      expect(Buffer.from(read).equals(bytes instanceof Uint8Array ? bytes : new Uint8Array(0))).toBe(true);
      expect(read.byteOffset % 8).toBe(0);
    }
  });

  test.each([
    { at: 3, error: InvalidTensorsError },
    { at: 12_000_000, error: BytesDifferError },
    { at: 30_000_000, error: BytesDifferError },
    { at: 59_999_999, error: BytesDifferError },
  ])("hands over no large file whose byte $at changed (I2)", async ({ at, error }) => {
    const { loaded, model } = await largeCheckpoint();
    await flipBit(model, 8 * at);
    await expect(loaded.tensors("model.safetensors")).rejects.toThrow(error);
  });

  async function largeCheckpoint() {
    const { store } = await savedRun([]);
    const { directory, manifest } = await save(store, 1, 10, { files: [tensorsFile("model.safetensors", large)] });
    const path = pathIn(store, directory);
    const loaded = await loadCheckpoint(path, { digest: manifest.digest });
    return { loaded, model: join(path, "model.safetensors") };
  }
});

/** Bytes of which no two pages are equal. */
function pattern(bytes: number): Uint8Array {
  return new Uint8Array(bytes).map((_, index) => (index ^ (index >> 12)) * 31 + (index >> 20));
}

describe("opening a store", () => {
  test("says what to do when the volume cannot be used", async () => {
    const path = join(await temporaryDirectory(), "file");
    await writeFile(path, "");
    const opened = openDirectoryStore(join(path, "run"), { runUid: "u" });
    await expect(opened).rejects.toThrow(StorageUnavailableError);
    await expect(opened).rejects.toThrow(
      /^Cannot open the checkpoints because the volume answered ENOTDIR at .*: look at the volume/,
    );
  });
});
