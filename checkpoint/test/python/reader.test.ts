import { execFile } from "node:child_process";
import { readFile, rename, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { candidates } from "../../src/candidates.ts";
import { readLog } from "../../src/log/read.ts";
import { dtypeBytes, isDtype } from "../../src/safetensors/format.ts";
import { tensorsFile } from "../../src/safetensors/write.ts";
import { type DirectoryStore, openDirectoryStore } from "../../src/store/directory-store.ts";
import { recordName } from "../../src/store/log-names.ts";
import { mergeStates } from "../../src/tiers/merged-state.ts";
import { mirrorCheckpoint } from "../../src/tiers/mirror.ts";
import { deleteFile, flipBit, swapFiles, truncateFile, zeroRange } from "../damage.ts";
import { filesOf, nothingExpected, pathIn, restore, runUid, save, savedRun, temporaryStore } from "../fixture.ts";
import { goldenRunUid } from "../golden-run.ts";
import { readerReport } from "../reader-report.ts";
import { findPython, type Python, pythonReport } from "./python-reader.ts";

const golden = join(import.meta.dirname, "../golden");
let python: Python | null = null;

beforeAll(async () => {
  python = await findPython();
}, 180_000);

/** What the reader in Python says of a run's directory. */
function read(root: string, { uid = runUid, bucket }: { uid?: string; bucket?: string } = {}) {
  if (python === null) throw new Error("Cannot read because there is no Python, so the test should have been skipped");
  return pythonReport(python, { root, runUid: uid, ...(bucket === undefined ? {} : { bucket }) });
}

/** Both readers, which must agree, whatever there is. */
async function agreed(store: DirectoryStore) {
  const report = await readerReport(store.root, runUid);
  expect(await read(store.root)).toEqual(report);
  return report;
}

describe("a reader written from FORMAT.md alone, in another language", () => {
  beforeEach(({ skip }) => skip(python === null, "python3 is not installed"));

  test("reads tensors with the package safetensors as well", ({ skip }) => {
    skip(python?.packages === null, python?.missing ?? "");
    expect(python?.packages).toContain("safetensors");
  });

  test.for(["v1", "v1-sha256", "v1-rollback", "v1-damaged", "v1-fork", "v1-gang", "future-format"])(
    "finds in the golden run %s what every reader must",
    async (name) => {
      const expected: unknown = JSON.parse(await readFile(join(golden, `${name}.json`), "utf8"));
      expect(await read(join(golden, name), { uid: goldenRunUid })).toEqual(expected);
    },
  );

  test("refuses a log of a later version by name", async () => {
    const reading = read(join(golden, "future-record"), { uid: goldenRunUid });
    await expect(reading).rejects.toThrow("record 3 of the log is of version 2: this reader knows 1");
  });

  test("matches every digest of a run that has just been saved, refused, resumed and pruned", async () => {
    const { store, saved } = await savedRun([10, 20]);
    await save(store, 1, 30, { files: [everyType(), ...filesOf(30).slice(1)], epoch: 1 / 3 });
    await restore(store, 2, { expected: { ...nothingExpected, base: { step: 20 } } });
    await save(store, 2, 25, { parent: saved[1]?.manifest.digest ?? null, metrics: [{ name: "loss", value: "NaN" }] });
    const report = await agreed(store);
    expect(report.checkpoints.map(({ step, verdict }) => [step, verdict])).toEqual(
      [10, 20, 30, 25].map((step) => [step, "Whole"]),
    );
    expect(report.candidates).toHaveLength(3);
    expect(report.checkpoints[2]?.tensors?.["model.safetensors"]).toHaveLength(Object.keys(dtypeBytes).length);
  });

  test("matches chunk by chunk a file of several, hashed by SHA-256 where there is no BLAKE3", async () => {
    const store = await temporaryStore();
    const without = ["--import", join(import.meta.dirname, "../without-blake3.ts")];
    const run = (program: string, ...args: string[]) =>
      promisify(execFile)(process.execPath, [...without, join(import.meta.dirname, "../processes", program), ...args]);
    await run("open-once.ts", store.root, runUid, "pod", "1");
    await run("save-steps.ts", store.root, runUid, "1", "20000000", "7");
    expect((await agreed(store)).checkpoints).toMatchObject([
      { digest: expect.stringMatching(/^sha256:/), verdict: "Whole" },
    ]);
  });

  test("tells from the logs of two tiers what a resume would start from, whichever of them is ahead", async () => {
    const [volume, bucket] = [await temporaryStore(), await temporaryStore()];
    const mirror = async (attempt: number, ...steps: number[]) => {
      const { checkpoints } = (await readLog(volume)).state;
      for (const ref of checkpoints.filter(({ step }) => steps.includes(step))) {
        await mirrorCheckpoint({ from: volume, to: bucket, attempt }, ref);
      }
    };
    const stepsFrom = async (from: DirectoryStore) => {
      const merged = mergeStates((await readLog(from)).state, (await readLog(bucket)).state);
      const expected = candidates(merged, { base: null, refused: [] });
      expect((await read(from.root, { bucket: bucket.root })).candidates).toEqual(expected.map(({ digest }) => digest));
      return expected.map(({ step }) => step);
    };
    await restore(volume, 1, { objectStore: bucket });
    for (const step of [10, 20, 30]) await save(volume, 1, step);
    await mirror(1, 10, 20);
    expect(await stepsFrom(volume)).toEqual([30, 20, 10]);
    await restore(volume, 2, { objectStore: bucket, expected: { ...nothingExpected, base: { step: 10 } } });
    await save(volume, 2, 15);
    expect(await stepsFrom(volume)).toEqual([15, 10]);
    await mirror(2, 15);
    const fresh = await temporaryStore();
    expect(await stepsFrom(fresh)).toEqual([15, 10]);
    await restore(fresh, 3, { objectStore: bucket });
    // The old volume, which knows nothing of attempt 3, is found again.
    expect(await stepsFrom(volume)).toEqual([15, 10]);
    await save(fresh, 3, 40);
    expect(await stepsFrom(fresh)).toEqual([40, 15, 10]);
    // The volume loses the open of its attempt, which the bucket still tells: they are fenced alike.
    await flipBit(record(fresh, (await readLog(fresh)).state.opened?.number ?? 0), 8 * 50);
    expect(await stepsFrom(await openDirectoryStore(fresh.root, { runUid }))).toEqual([15, 10]);
  });

  const ten = "step-000000000010-a0001";
  const model = (store: DirectoryStore) => pathIn(store, ten, "model.safetensors");
  const record = (store: DirectoryStore, number: number) => join(store.root, "log", recordName(number));
  const damages: Record<string, readonly [word: string | null, (store: DirectoryStore) => Promise<unknown>]> = {
    "a bit of a tensor": ["BytesDiffer", (store) => flipBit(model(store), 8 * 700)],
    "a bit of a tensor's header": ["TensorsInvalid", (store) => zeroRange(model(store), { from: 8, bytes: 4 })],
    "the end of a file": ["SizeDiffers", (store) => truncateFile(model(store), 300)],
    "a file": ["FileMissing", (store) => deleteFile(model(store))],
    "two files that were swapped": [
      "SizeDiffers",
      (store) => swapFiles(model(store), pathIn(store, ten, "state.json")),
    ],
    "a bit of the manifest": ["ManifestInvalid", (store) => flipBit(pathIn(store, ten, "MANIFEST.json"), 8 * 40)],
    "the manifest": ["ManifestMissing", (store) => deleteFile(pathIn(store, ten, "MANIFEST.json"))],
    "another's manifest": [
      "ManifestDiffers",
      (store) =>
        swapFiles(pathIn(store, ten, "MANIFEST.json"), pathIn(store, "step-000000000020-a0001", "MANIFEST.json")),
    ],
    "the directory": ["Missing", (store) => rm(pathIn(store, ten), { recursive: true })],
    "the directory, for a link to it": [
      "NotAFile",
      async (store) => {
        await rename(pathIn(store, ten), join(store.root, "elsewhere"));
        await symlink("../elsewhere", pathIn(store, ten));
      },
    ],
    "a bit of a commit": [null, (store) => flipBit(record(store, 2), 8 * 50)],
    "the middle of a commit": [null, (store) => zeroRange(record(store, 2), { from: 100, bytes: 64 })],
    "a record between two others": [null, (store) => deleteFile(record(store, 3))],
    "the open of the attempt": [null, (store) => truncateFile(record(store, 1), 9)],
  };
  test.for(Object.entries(damages))("sees damage as this library does: %s", async ([, [word, damage]]) => {
    const { store } = await savedRun([10, 20, 30]);
    await damage(store);
    const report = await agreed(store);
    if (word === null) expect(report.damaged).toHaveLength(1);
    else expect(report.checkpoints[0]?.verdict).toBe(word);
  });
});

/** One tensor of every type there is. */
function everyType() {
  const tensors = Object.keys(dtypeBytes).filter(isDtype);
  return tensorsFile(
    "model.safetensors",
    tensors.map((dtype, index) => ({
      name: `größe/${dtype}`,
      dtype,
      shape: [index, 3],
      bytes: Uint8Array.from({ length: index * 3 * dtypeBytes[dtype] }, (_, at) =>
        dtype === "BOOL" ? at % 2 : at % 251,
      ),
    })),
  );
}
