import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { flipBit } from "../test/damage.ts";
import {
  nothingExpected,
  pathIn,
  restore,
  resumedAt,
  runUid,
  save,
  savedRun,
  temporaryStore,
} from "../test/fixture.ts";
import { seal } from "../test/seal.ts";
import { canonicalJson } from "./canonical-json.ts";
import type { Expected } from "./contract/pod-environment.ts";
import { directoryName } from "./directory-name.ts";
import { hashBytes } from "./hash.ts";
import { readLog } from "./log/read.ts";
import { DirectoryStore, openDirectoryStore } from "./store/directory-store.ts";

const expecting = (expected: Partial<Expected>) => ({ expected: { ...nothingExpected, ...expected } });
const model = (store: DirectoryStore, step: number) => pathIn(store, directoryName(step, 1), "model.safetensors");

describe("a restore", () => {
  test("starts at step 0 when no checkpoint ever existed, and opens the attempt", async () => {
    const store = await temporaryStore();
    expect(resumedAt(await restore(store, 1))).toBe(0);
    expect((await readLog(store)).state.opened).toMatchObject({ attempt: 1, podUid: "pod-1", base: null });
  });

  test("hands over the newest checkpoint with everything a trainer needs to load it", async () => {
    const { store, saved } = await savedRun([10, 20]);
    const outcome = await restore(store, 2);
    expect(outcome).toMatchObject({
      kind: "restored",
      restored: {
        version: 1,
        run: runUid,
        attempt: 2,
        podUid: "pod-2",
        resume: {
          step: 20,
          attempt: 1,
          digest: saved[1]?.manifest.digest,
          tier: "Volume",
          directory: pathIn(store, directoryName(20, 1)).replace(/\/$/, ""),
        },
        refused: [],
        verifiedBytes: saved[1]?.bytes,
      },
      warnings: [],
    });
  });

  test("refuses a damaged checkpoint by name, takes the one before, and says so in the log", async () => {
    const { store, saved } = await savedRun([10, 20]);
    await flipBit(model(store, 20), 4000);
    const outcome = await restore(store, 2);
    expect(resumedAt(outcome)).toBe(10);
    expect(outcome).toMatchObject({
      restored: {
        refused: [{ step: 20, attempt: 1, digest: saved[1]?.manifest.digest, reason: "BytesDiffer", node: "node-a" }],
      },
    });
    const { state } = await readLog(store);
    expect(state.refused).toMatchObject([{ digest: saved[1]?.manifest.digest, attempt: 2, reason: "BytesDiffer" }]);
    expect(await readdir(join(store.root, "data"))).toContain(directoryName(20, 1));
  });

  test("never begins again at step 0 by itself when nothing verifies (I10)", async () => {
    const { store } = await savedRun([10]);
    await flipBit(model(store, 10), 4000);
    const outcome = await restore(store, 2);
    expect(outcome).toMatchObject({
      failure: "NoVerifiedCheckpoint",
      message:
        "Cannot restore attempt 2 because none of 1 checkpoints in the log can be resumed from: step 10 BytesDiffer",
    });
    expect((await readLog(store)).state.opened?.attempt).toBe(1);
    const again = await restore(store, 3, expecting({ noneVerified: "StartOver" }));
    expect(resumedAt(again)).toBe(0);
    expect((await readLog(store)).state).toMatchObject({
      opened: { attempt: 3, base: null },
      refused: [{ attempt: 3 }],
    });
  });

  const lost: { what: string; lose: (store: DirectoryStore) => Promise<unknown>; because: string }[] = [
    {
      what: "the whole volume, which the operator remembers",
      lose: async (store) => Promise.all(["log", "data"].map((name) => empty(join(store.root, name)))),
      because: "is on record and not in this storage",
    },
    {
      what: "the log, while its checkpoints are there",
      lose: (store) => empty(join(store.root, "log")),
      because: "step-000000000010-a0001 exists and the log does not know it",
    },
  ];
  test.each(lost)("tells a first start from losing $what (I10)", async ({ lose, because }) => {
    const { store, saved } = await savedRun([10]);
    const digest = saved[0]?.manifest.digest ?? "";
    await lose(store);
    const again = await openDirectoryStore(store.root, { runUid });
    const remembered = because.startsWith("is") ? { latestVerified: { step: 10, digest } } : {};
    const outcome = await restore(again, 2, expecting(remembered));
    expect(outcome).toMatchObject({ failure: "NoVerifiedCheckpoint" });
    expect(outcome.kind === "failed" ? outcome.message : "").toContain(because);
  });

  test("does not take a tier that cannot be read for an empty one", async () => {
    const { store } = await savedRun([10]);
    const log = join(store.root, "log");
    await rename(log, `${log}-away`);
    await writeFile(log, "in the way");
    const outcome = await restore(fresh(store), 2);
    expect(outcome).toMatchObject({ kind: "failed", failure: "StorageUnavailable" });
  });

  test("rolls back to a chosen step, and the next attempt stays there", async () => {
    const { store } = await savedRun([10, 20, 30]);
    expect(resumedAt(await restore(store, 2, expecting({ base: { step: 10 } })))).toBe(10);
    expect(resumedAt(await restore(store, 3))).toBe(10);
  });

  test("falls back to nothing when the chosen base does not verify, StartOver or not", async () => {
    const { store } = await savedRun([10, 20]);
    await flipBit(model(store, 20), 4000);
    const chosen = expecting({ base: { step: 20 }, noneVerified: "StartOver" });
    expect(await restore(store, 2, chosen)).toMatchObject({
      failure: "NoVerifiedCheckpoint",
      message: "Cannot restore attempt 2 because the chosen base step 20 does not verify: step 20 BytesDiffer",
    });
  });

  test("adopts what the last attempt finished and had no time to record", async () => {
    const { store } = await savedRun([10, 20]);
    await rm(join(store.root, "log", "000000000003.json"));
    const outcome = await restore(fresh(store), 2);
    expect(resumedAt(outcome)).toBe(20);
    expect((await readLog(fresh(store))).records).toMatchObject([{ record: { kind: "open", attempt: 2 } }]);
    expect((await readLog(fresh(store))).state.checkpoints.map(({ step }) => step)).toEqual([10, 20]);
  });

  test("makes the name of what it adopts durable before it commits it (I3)", async () => {
    const { store } = await savedRun([10, 20]);
    await rm(join(store.root, "log", "000000000003.json"));
    const calls: string[] = [];
    const watched = fresh(store);
    const settle = watched.settle.bind(watched);
    const create = watched.createRecord.bind(watched);
    watched.settle = (directory) => {
      calls.push(`settle ${directory}`);
      return settle(directory);
    };
    watched.createRecord = (number, bytes) => {
      calls.push(`record ${number}`);
      return create(number, bytes);
    };
    await restore(watched, 2);
    expect(calls).toEqual([`settle ${directoryName(20, 1)}`, "record 3", "record 4"]);
  });

  test("does not adopt what is damaged, and warns of it", async () => {
    const { store } = await savedRun([10, 20]);
    await rm(join(store.root, "log", "000000000003.json"));
    await flipBit(model(store, 20), 4000);
    const outcome = await restore(fresh(store), 2);
    expect(resumedAt(outcome)).toBe(10);
    expect(outcome.warnings).toHaveLength(1);
    expect(outcome.warnings[0]).toContain("step-000000000020-a0001 has no record and was not adopted");
  });

  test("leaves what it did not adopt to the sweep of another attempt, which may run on a better node", async () => {
    const { store } = await savedRun([10, 20]);
    await rm(join(store.root, "log", "000000000003.json"));
    await flipBit(model(store, 20), 4000);
    // The second time it is a restart in the same pod, which finds its own open.
    for (const attempt of [2, 2]) {
      expect(resumedAt(await restore(fresh(store), attempt))).toBe(10);
      expect(await store.names()).toEqual([10, 20].map((step) => directoryName(step, 1)));
    }
    expect(resumedAt(await restore(fresh(store), 3))).toBe(10);
    expect(await store.names()).toEqual([directoryName(10, 1)]);
  });

  test("refuses a directory of an unknown format by name, leaves it alone, and takes another", async () => {
    const { store } = await savedRun([10, 20]);
    await rm(join(store.root, "log", "000000000003.json"));
    const manifest = pathIn(store, directoryName(20, 1), "MANIFEST.json");
    const later = canonicalJson(seal({ format: 2, runUid }));
    await writeFile(manifest, later);
    const outcome = await restore(fresh(store), 2);
    expect(resumedAt(outcome)).toBe(10);
    expect(outcome.warnings).toEqual([
      "step-000000000020-a0001 has no record and was not adopted: UnknownFormat: Cannot read the manifest because its " +
        "format is 2 and this program reads 1: use a release that knows it",
    ]);
    await restore(fresh(store), 3);
    expect(await readFile(manifest, "utf8")).toBe(later);
  });

  test("is fenced by a higher attempt, and by another pod of its own", async () => {
    const { store } = await savedRun([10]);
    await restore(store, 3);
    expect(await restore(store, 2)).toMatchObject({
      failure: "Fenced",
      message: expect.stringContaining("attempt 3 is open"),
    });
    expect(await restore(store, 3, { podUid: "another" })).toMatchObject({
      failure: "Fenced",
      message: expect.stringContaining("pod pod-3 has opened this attempt"),
    });
  });

  test("matches its base again before it hands it over again in the same pod (I2)", async () => {
    const { store } = await savedRun([10]);
    await restore(store, 2);
    await save(store, 2, 20);
    await flipBit(model(store, 10), 4000);
    expect(await restore(fresh(store), 2)).toMatchObject({
      failure: "Fenced",
      message: expect.stringContaining("its base does not verify any more"),
      refused: [{ step: 10, reason: "BytesDiffer" }],
    });
    expect(resumedAt(await restore(fresh(store), 3))).toBe(20);
  });

  test("repeated in the same pod finds its own open and appends nothing", async () => {
    const { store } = await savedRun([10]);
    await restore(store, 2);
    const before = await store.recordNumbers();
    expect(resumedAt(await restore(store, 2))).toBe(10);
    await save(store, 2, 20);
    expect(resumedAt(await restore(store, 2))).toBe(10);
    expect(await store.recordNumbers()).toHaveLength(before.length + 1);
  });

  test("chooses again when something newer is committed while it decides", async () => {
    const { store } = await savedRun([10]);
    await flipBit(model(store, 10), 4000);
    const racing = fresh(store);
    // The refusal of step 10 is the moment: the old attempt commits step 20 right before it.
    const create = racing.createRecord.bind(racing);
    let raced = false;
    racing.createRecord = async (number, bytes) => {
      if (!raced) {
        raced = true;
        await save(store, 1, 20);
      }
      return create(number, bytes);
    };
    expect(resumedAt(await restore(racing, 2, expecting({ noneVerified: "StartOver" })))).toBe(20);
  });

  test("is not held up by what a zombie finished after a newer attempt began at step 0", async () => {
    const store = await temporaryStore();
    await restore(store, 1);
    await restore(store, 2);
    await mkdir(pathIn(store, directoryName(10, 1)));
    expect(resumedAt(await restore(store, 3))).toBe(0);
  });

  test("passes over a damaged record of the log", async () => {
    const { store } = await savedRun([10, 20]);
    await flipBit(join(store.root, "log", "000000000003.json"), 300);
    // The record of step 20 is damaged, but the directory proves itself and is adopted.
    expect(resumedAt(await restore(fresh(store), 2))).toBe(20);
  });

  test("names a log of a later version instead of guessing at it", async () => {
    const { store } = await savedRun([10]);
    const path = join(store.root, "log", "000000000003.json");
    const later = { version: 2, kind: "open" };
    const digest = hashBytes(new TextEncoder().encode(canonicalJson(later)));
    await writeFile(path, canonicalJson({ ...later, digest }));
    expect(await restore(fresh(store), 2)).toMatchObject({
      failure: "Incompatible",
      message:
        "Cannot restore attempt 2 because Cannot read log record 3 because its version is 2 and this program reads 1: use a release that knows it",
    });
  });

  test("can be stopped at any instant: aborted before its open, nothing has changed", async () => {
    const { store } = await savedRun([10]);
    await expect(restore(store, 2, { signal: AbortSignal.abort() })).rejects.toThrow("aborted");
    expect((await readLog(store)).state.opened?.attempt).toBe(1);
  });
});

/** The same directory as another process sees it, without what this one has read. */
function fresh(store: DirectoryStore): DirectoryStore {
  return new DirectoryStore(store.root, store.runUid);
}

async function empty(directory: string): Promise<void> {
  await rm(directory, { recursive: true });
  await mkdir(directory);
}
