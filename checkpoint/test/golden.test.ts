import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { candidates } from "../src/candidates.ts";
import { loadCheckpoint } from "../src/load.ts";
import { readLog } from "../src/log/read.ts";
import { DirectoryStore } from "../src/store/directory-store.ts";
import { verifyCheckpoint } from "../src/verify.ts";
import { temporaryDirectory } from "./fixture.ts";
import { goldenRuns } from "./golden-histories.ts";
import { goldenRunUid } from "./golden-run.ts";
import { readerReport } from "./reader-report.ts";

const golden = join(import.meta.dirname, "golden");

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
    const { records, state } = await readLog(new DirectoryStore(join(golden, "v1"), goldenRunUid));
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
    const store = new DirectoryStore(join(golden, "v1"), goldenRunUid);
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
});

describe("the golden runs", () => {
  test.for(Object.entries(goldenRuns))("%s is what this program writes, byte for byte", async ([name, write]) => {
    const directory = await temporaryDirectory();
    await write(directory);
    const written = await contents(directory);
    expect(Object.keys(written).length).toBeGreaterThan(5);
    expect(written).toEqual(await contents(join(golden, name)));
  });

  test("v1-sha256 is what it writes where there is no BLAKE3", async () => {
    const directory = await temporaryDirectory();
    const program = ["--import", join(import.meta.dirname, "without-blake3.ts")];
    const write = [join(import.meta.dirname, "golden-histories.ts"), "v1", directory];
    await promisify(execFile)(process.execPath, [...program, ...write]);
    expect(await contents(directory)).toEqual(await contents(join(golden, "v1-sha256")));
  });

  test.for(["v1", "v1-sha256", "v1-rollback", "v1-damaged", "v1-fork", "v1-gang", "future-format"])(
    "%s says what is written down beside it for every reader",
    async (name) => {
      const expected: unknown = JSON.parse(await readFile(join(golden, `${name}.json`), "utf8"));
      expect(await readerReport(join(golden, name), goldenRunUid)).toEqual(expected);
    },
  );

  test("a log of a later version is refused by name", async () => {
    const reading = readerReport(join(golden, "future-record"), goldenRunUid);
    await expect(reading).rejects.toThrow(
      "Cannot read log record 3 because its version is 2 and this program reads 1: use a release that knows it",
    );
  });

  test("a checkpoint of a later format is refused by name, and its directory left alone", async () => {
    const store = new DirectoryStore(join(golden, "future-format"), goldenRunUid);
    const [, later] = (await readLog(store)).state.checkpoints;
    const verifying = verifyCheckpoint(store, later ?? { digest: null, directory: "" });
    await expect(verifying).rejects.toThrow("its format is 2 and this program reads 1: use a release that knows it");
  });
});
