import { readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { filesOf, pathIn, restore, resumedAt, runUid, save, savedRun, temporaryStore } from "../../test/fixture.ts";
import { candidates } from "../candidates.ts";
import { bytesFile } from "../file-source.ts";
import { type Health, healthy } from "../health.ts";
import { limits } from "../limits.ts";
import { loadCheckpoint } from "../load.ts";
import { FencedError } from "../log/append.ts";
import { readLog } from "../log/read.ts";
import { SaveFailedError } from "../save.ts";
import type { DirectoryStore } from "../store/directory-store.ts";
import { verifyCheckpoint } from "../verify.ts";
import { awaitCommit } from "./await-commit.ts";
import { commitShards, pendingShards } from "./commit-shards.ts";
import { type ShardRequest, saveShard } from "./save-shard.ts";
import { parseShardManifest, shardManifestBytes } from "./shard-manifest.ts";

const digest = (letter: string) => `blake3:${letter.repeat(64)}`;

/** One of two workers saves a step of attempt 1. */
function shard(store: DirectoryStore, worker: number, step: number, request: Partial<ShardRequest> = {}) {
  return saveShard(store, {
    runUid,
    attempt: 1,
    step,
    worker,
    workers: 2,
    parent: null,
    files: filesOf(step + worker),
    metrics: [{ name: "loss", value: `0.${worker}` }],
    health: healthy,
    producer: { name: "test", version: "1.0.0" },
    time: `2026-01-01T00:00:0${worker}.000Z`,
    ...request,
  });
}

/** What a reader finds: the steps in the log, and what is in the directory of checkpoints beside them. */
async function found(store: DirectoryStore): Promise<{ steps: number[]; names: string[] }> {
  const { state } = await readLog(store);
  return { steps: candidates(state, { base: null, refused: [] }).map(({ step }) => step), names: await store.names() };
}

const commit = (store: DirectoryStore, step: number, attempt = 1) => commitShards(store, { step, attempt });

describe("the shards of a gang", () => {
  test("become one checkpoint, of which nothing is seen before the last of them is there", async () => {
    const { store } = await savedRun([10]);
    await shard(store, 1, 20);
    expect(await commit(store, 20)).toEqual({ kind: "partial", sealed: [1], workers: 2 });
    expect(await found(store)).toEqual({ steps: [10], names: [".shards-20-a1", "step-000000000010-a0001"] });
    expect(await pendingShards(store, (await readLog(store)).state)).toEqual([20]);
    await shard(store, 0, 20);
    expect(await commit(store, 20)).toMatchObject({ kind: "committed", workers: 2 });
    expect(await found(store)).toEqual({
      steps: [20, 10],
      names: ["step-000000000010-a0001", "step-000000000020-a0001"],
    });
    expect(await pendingShards(store, (await readLog(store)).state)).toEqual([]);
  });

  test("lie below the number of their worker, and verify and load byte for byte", async () => {
    const { store } = await savedRun([]);
    const unhealthy: Health = { nonFinite: ["a"], nonFiniteTensors: 2, unexpected: ["a"], unexpectedTensors: 1 };
    await shard(store, 0, 20, { epoch: 1.5 });
    await shard(store, 1, 20, { health: unhealthy });
    await commit(store, 20);
    const [ref] = (await readLog(store)).state.checkpoints;
    if (ref === undefined) throw new Error("there is no checkpoint");
    expect(ref).toMatchObject({ epoch: 1.5, unhealthy: true, metrics: [{ name: "loss", value: "0.0" }] });
    expect(await verifyCheckpoint(store, ref)).toMatchObject({ ok: true });
    const loaded = await loadCheckpoint(pathIn(store, ref.directory), { digest: ref.digest });
    expect(loaded.manifest.workers).toBe(2);
    expect(loaded.manifest.time).toBe("2026-01-01T00:00:00.000Z");
    expect(loaded.manifest.health).toEqual({ ...unhealthy, nonFinite: ["w0001/a"], unexpected: ["w0001/a"] });
    expect(loaded.manifest.files.map(({ path }) => path)).toEqual([
      ...["w0000/model.safetensors", "w0000/state.json", "w0001/model.safetensors", "w0001/state.json"],
    ]);
    expect(await loaded.json("w0001/state.json")).toEqual({ step: 21, epoch: 0, rng: [7, 21] });
  });

  test("are resumed from like any other checkpoint, and what never became one goes with the next attempt", async () => {
    const { store } = await savedRun([10]);
    for (const worker of [0, 1]) await shard(store, worker, 20);
    await commit(store, 20);
    await shard(store, 0, 30);
    const outcome = await restore(store, 2);
    expect(resumedAt(outcome)).toBe(20);
    expect(outcome.warnings).toEqual([
      "What the workers of attempt 1 saved of step 30 is no checkpoint: 1 of 2 shards are there",
    ]);
    expect((await found(store)).names).toEqual(["step-000000000010-a0001", "step-000000000020-a0001"]);
  });

  test("that were all there when worker 0 was gone are the next attempt's to commit", async () => {
    const { store } = await savedRun([10]);
    for (const worker of [0, 1]) await shard(store, worker, 20);
    expect(resumedAt(await restore(store, 2))).toBe(20);
    expect((await found(store)).names).toEqual(["step-000000000010-a0001", "step-000000000020-a0001"]);
    await expect(commit(store, 20)).rejects.toThrow(FencedError);
  });

  test("of which only the seals are left hold up nobody", async () => {
    const { store } = await savedRun([10]);
    for (const worker of [0, 1]) await shard(store, worker, 20);
    await rm(join(pathIn(store, ".shards-20-a1"), "checkpoint"), { recursive: true });
    await expect(commit(store, 20)).rejects.toThrow("the seals of all its shards are there, and their files are not");
    expect(resumedAt(await restore(store, 2))).toBe(10);
    expect((await found(store)).names).toEqual(["step-000000000010-a0001"]);
  });

  test("come to the same checkpoint whoever brings them together", async () => {
    const digests = new Set<string>();
    for (const bringsTogether of ["agent", "restore"]) {
      const { store } = await savedRun([]);
      for (const worker of [1, 0]) await shard(store, worker, 20);
      if (bringsTogether === "agent") await commit(store, 20);
      else await restore(store, 2);
      for (const ref of (await readLog(store)).state.checkpoints) digests.add(ref.digest);
    }
    expect(digests.size).toBe(1);
  });

  test("that were published and not committed are matched and committed by the next try", async () => {
    const { store } = await savedRun([10]);
    for (const worker of [0, 1]) await shard(store, worker, 20);
    await commit(store, 20);
    const records = (await readdir(join(store.root, "log"))).filter((name) => name.endsWith(".json")).sort();
    await rm(join(store.root, "log", records.at(-1) ?? ""));
    const again = await reopened(store);
    expect((await found(again)).steps).toEqual([10]);
    expect(await commit(again, 20)).toMatchObject({ kind: "committed", workers: 2 });
    expect((await found(again)).steps).toEqual([20, 10]);
  });

  test("are committed once, however often that is tried", async () => {
    const { store } = await savedRun([]);
    for (const worker of [0, 1]) await shard(store, worker, 20);
    await commit(store, 20);
    const { last } = (await readLog(store)).state;
    await commit(store, 20);
    expect((await readLog(store)).state.last).toBe(last);
  });

  test("of a step that not all have saved go with those of the next one", async () => {
    const { store } = await savedRun([]);
    await shard(store, 0, 20);
    for (const worker of [0, 1]) await shard(store, worker, 30);
    await commit(store, 30);
    expect(await found(store)).toEqual({ steps: [30], names: ["step-000000000030-a0001"] });
  });
});

describe("a shard", () => {
  test("that is saved again is the one that stands, and its checkpoint as well", async () => {
    const { store } = await savedRun([]);
    await shard(store, 0, 20);
    await shard(store, 0, 20, { files: filesOf(99) });
    await shard(store, 1, 20);
    await commit(store, 20);
    await shard(store, 1, 20, { files: filesOf(99) });
    expect((await found(store)).names).toEqual(["step-000000000020-a0001"]);
    const loaded = await loadCheckpoint(pathIn(store, "step-000000000020-a0001"), {
      digest: (await readLog(store)).state.checkpoints[0]?.digest ?? "",
    });
    expect(await loaded.json("w0000/state.json")).toEqual({ step: 20, epoch: 0, rng: [7, 20] });
  });

  test("takes the place of what an earlier try left without a seal", async () => {
    const { store } = await savedRun([]);
    await shard(store, 0, 20);
    await rename(join(pathIn(store, ".shards-20-a1"), "w0000.json"), join(pathIn(store, ".shards-20-a1"), "lost"));
    await shard(store, 0, 20, { files: [bytesFile("other.bin", "opaque", new Uint8Array(3))] });
    await shard(store, 1, 20, { files: [bytesFile("other.bin", "opaque", new Uint8Array(3))] });
    await commit(store, 20);
    const [ref] = (await readLog(store)).state.checkpoints;
    expect(ref === undefined ? null : await verifyCheckpoint(store, ref)).toMatchObject({ ok: true, bytes: 6 });
  });

  test.each<[string, Partial<ShardRequest>, string]>([
    ["of no run of this store", { runUid: "other" }, "the store is of run"],
    ["of a worker that there is not", { worker: 2 }, "is below the number of workers, 2: 2"],
    ["without a file", { files: [] }, "the shard of one of 2 workers has at least one file"],
    ["of a name that leads out of it", { files: [bytesFile("../w0000/x", "opaque", new Uint8Array(1))] }, "relative"],
    ["of too large a gang", { workers: limits.workers + 1 }, "a gang has at most 1000 workers: 1001"],
    [
      "of more files than its share",
      {
        workers: 1000,
        files: Array.from({ length: 11 }, (_, index) => bytesFile(`f${index}`, "opaque", new Uint8Array(1))),
      },
      "the shard of one of 1000 workers has at most 10 files",
    ],
    [
      "whose names take more than its share of a manifest",
      {
        workers: 1000,
        files: Array.from({ length: 10 }, (_, index) =>
          bytesFile(`${index}/${'"'.repeat(250)}/${'"'.repeat(240)}`, "opaque", new Uint8Array(1)),
        ),
      },
      "the part of one of 1000 workers in a manifest has at most 8323 bytes",
    ],
  ])("%s is refused before a byte is written", async (_, request, words) => {
    const store = await temporaryStore();
    const saving = shard(store, 1, 20, request);
    await expect(saving).rejects.toThrow(SaveFailedError);
    await expect(saving).rejects.toThrow(words);
    expect(await store.names()).toEqual([]);
  });
});

describe("shards that do not belong together are named and never committed:", () => {
  test.each<[string, Partial<ShardRequest>, RegExp]>([
    [
      "another base",
      { parent: digest("a") },
      /worker 1 does not belong .*it resumed from blake3:a+, and worker 0 from nothing/,
    ],
    ["another number of workers", { workers: 3 }, /worker 1 does not belong .*it knows 3 workers, and worker 0 2/],
  ])("%s", async (_, request, words) => {
    const { store } = await savedRun([]);
    await shard(store, 0, 20);
    await shard(store, 1, 20, request);
    await expect(commit(store, 20)).rejects.toThrow(words);
    expect(resumedAt(await restore(store, 2))).toBe(0);
  });

  test.each<[string, (seal: Uint8Array) => Uint8Array, RegExp]>([
    [
      "a seal with another bit",
      (seal) => seal.with(40, (seal[40] ?? 0) ^ 1),
      /worker 1 does not belong .*Cannot read the manifest/,
    ],
    ["another worker's seal", (seal) => resealed(seal, { worker: 0 }), /its worker is 0: 1 expected/],
    ["another step's seal", (seal) => resealed(seal, { step: 19 }), /its step is 19: 20 expected/],
    ["another run's seal", (seal) => resealed(seal, { runUid: "other" }), /its runUid is "other"/],
    ["a seal of a worker above all", (seal) => resealed(seal, { worker: 2 }), /must be below the number of workers/],
  ])("%s", async (_, change, words) => {
    const { store } = await savedRun([]);
    for (const worker of [0, 1]) await shard(store, worker, 20);
    const seal = (await store.shards.seals({ step: 20, attempt: 1 })).get(1) ?? new Uint8Array(0);
    await writeFile(join(pathIn(store, ".shards-20-a1"), "w0001.json"), change(seal));
    await expect(commit(store, 20)).rejects.toThrow(words);
    expect(resumedAt(await restore(store, 2))).toBe(0);
  });
});

describe("a worker that waits for the commit", () => {
  test("hears of it when it stands", async () => {
    const { store } = await savedRun([]);
    for (const worker of [0, 1]) await shard(store, worker, 20);
    const waiting = awaitCommit(await reopened(store), {
      step: 20,
      attempt: 1,
      signal: AbortSignal.timeout(20_000),
      everyMs: 5,
    });
    await commit(store, 20);
    expect(await waiting).toMatchObject({ step: 20, attempt: 1, directory: "step-000000000020-a0001" });
  });

  test("is told when another attempt has taken over, and ends when it is told to", async () => {
    const { store } = await savedRun([]);
    await shard(store, 0, 20);
    const ended = awaitCommit(store, { step: 20, attempt: 1, signal: AbortSignal.timeout(20) });
    await expect(ended).rejects.toThrow(/timeout|aborted/);
    await restore(store, 2);
    const fenced = awaitCommit(store, { step: 20, attempt: 1, signal: AbortSignal.timeout(20_000) });
    await expect(fenced).rejects.toThrow(FencedError);
  });
});

test("a single trainer's checkpoint and a gang's may follow each other in one log", async () => {
  const { store } = await savedRun([10]);
  for (const worker of [0, 1]) await shard(store, worker, 20);
  await commit(store, 20);
  await save(store, 1, 30);
  expect((await found(store)).steps).toEqual([30, 20, 10]);
});

function resealed(seal: Uint8Array, change: Partial<ShardRequest>): Uint8Array {
  const { digest: _, format: __, totals: ___, ...draft } = parseShardManifest(seal);
  return shardManifestBytes({ ...draft, ...change } as typeof draft);
}

/** The same directory as another process sees it, which remembers no record. */
async function reopened(store: DirectoryStore): Promise<DirectoryStore> {
  const { DirectoryStore } = await import("../store/directory-store.ts");
  return new DirectoryStore(store.root, runUid);
}
