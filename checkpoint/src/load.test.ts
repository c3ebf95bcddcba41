import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { flipBit, swapFiles, truncateFile } from "../test/damage.ts";
import { pathIn, savedRun, temporaryDirectory } from "../test/fixture.ts";
import { BytesDifferError } from "./chunked-reader.ts";
import { loadCheckpoint } from "./load.ts";
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
});

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
