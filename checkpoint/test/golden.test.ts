import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { candidates } from "../src/candidates.ts";
import { loadCheckpoint } from "../src/load.ts";
import { readLog } from "../src/log/read.ts";
import { DirectoryStore } from "../src/store/directory-store.ts";
import { verifyCheckpoint } from "../src/verify.ts";
import { temporaryDirectory } from "./fixture.ts";
import { goldenRunUid, writeGoldenRun } from "./golden-run.ts";

const golden = join(import.meta.dirname, "golden/v1");

/** Every file below a directory, by name, as hex. */
async function contents(root: string): Promise<Record<string, string>> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const pairs = files.map(
    async (path) => [path.slice(root.length + 1), (await readFile(path)).toString("hex")] as const,
  );
  return Object.fromEntries((await Promise.all(pairs)).sort());
}

describe("format 1, as it was written once and is kept for ever", () => {
  test("is read: the log, and what it says", async () => {
    const { records, state } = await readLog(new DirectoryStore(golden, goldenRunUid));
    expect(records.map((entry) => ("record" in entry ? entry.record.kind : entry.damaged))).toEqual([
      "open",
      "commit",
      "delete",
      "done",
    ]);
    expect(state.damaged).toEqual([]);
    expect(state.checkpoints.map(({ directory }) => directory)).toEqual([
      "step-000000000010-a0001",
      "step-000000000015-a0002",
    ]);
    expect(state.done?.attempt).toBe(2);
    expect(candidates(state, { base: null, refused: [] }).map(({ step, unhealthy }) => [step, unhealthy])).toEqual([
      [15, true],
      [10, false],
    ]);
  });

  test("is verified byte for byte, and loaded", async () => {
    const store = new DirectoryStore(golden, goldenRunUid);
    const { checkpoints } = (await readLog(store)).state;
    expect(checkpoints).toHaveLength(2);
    for (const { digest, directory } of checkpoints) {
      expect(await verifyCheckpoint(store, { digest, directory })).toMatchObject({ ok: true, rereads: 0 });
      const loaded = await loadCheckpoint(store.checkpoint(directory).location, { digest });
      const { tensors, metadata } = await loaded.tensors("model.safetensors");
      expect([...tensors.keys()]).toEqual(["empty", "größe", "layer/kernel", "layer/bias", "mask"]);
      expect(metadata).toEqual({ framework: "golden" });
      expect(await loaded.json("state.json")).toMatchObject({ epoch: 0.5, rng: [1, 4294967295] });
    }
  });

  test("is what this program writes, byte for byte", async () => {
    const directory = await temporaryDirectory();
    await writeGoldenRun(directory);
    const written = await contents(directory);
    expect(Object.keys(written)).toHaveLength(20);
    expect(written).toEqual(await contents(golden));
  });
});
