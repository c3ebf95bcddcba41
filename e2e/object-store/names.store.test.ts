import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { pointNames } from "@trainingrun/checkpoint/names.ts";
import { mirrorCheckpoint } from "@trainingrun/checkpoint/tiers/mirror.ts";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { restore, runUid, save, temporaryStore } from "../../checkpoint/test/fixture.ts";
import { findPython, pythonReport } from "../../checkpoint/test/python/python-reader.ts";
import { readerReport } from "../../checkpoint/test/reader-report.ts";
import { openRunStore } from "./run-store.ts";
import { type ObjectStore as Server, startStore, storeKinds } from "./store.ts";
import { storeClient } from "./store-access.ts";

const policy = { last: 2, best: { metric: "loss", mode: "Min" as const, count: 1 }, everySteps: null, maxBytes: null };

describe.each(storeKinds)("What a run has in a bucket of %s", (kind) => {
  let directory: string;
  let server: Server;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "names-store-"));
    server = await startStore(kind, { directory });
  });
  afterAll(async () => {
    await server?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  /** A run whose three checkpoints are mirrored, with the names where they belong. */
  async function mirroredRun(prefix: string) {
    const volume = await temporaryStore();
    const objectStore = await openRunStore(server.access, { runUid, prefix });
    await restore(volume, 1, { objectStore });
    for (const [step, loss] of [
      [10, "0.5"],
      [20, "0.1"],
      [30, "0.2"],
    ] as const) {
      await save(volume, 1, step, { epoch: step / 10, metrics: [{ name: "loss", value: loss }] });
    }
    const point = async () => {
      const { state } = await readLog(objectStore);
      await pointNames(objectStore, {
        state,
        verified: new Set(state.checkpoints.map(({ digest }) => digest)),
        policy,
      });
    };
    const { checkpoints } = (await readLog(volume)).state;
    for (const ref of checkpoints) await mirrorCheckpoint({ from: volume, to: objectStore, attempt: 1 }, ref);
    return { volume, objectStore, point };
  }

  /** Everything below a prefix, by key. */
  async function contents(prefix: string): Promise<Map<string, Buffer>> {
    const client = storeClient(server.access);
    const found = new Map<string, Buffer>();
    for await (const { name } of client.listObjectsV2(server.access.bucket, prefix, true)) {
      const pieces: Buffer[] = [];
      for await (const piece of await client.getObject(server.access.bucket, name)) pieces.push(piece);
      found.set(name, Buffer.concat(pieces));
    }
    return found;
  }

  test("is found by run, step, epoch, metric and time, which key, manifest and state.json agree on", async () => {
    const { point } = await mirroredRun("by-name");
    await point();
    const root = `by-name/${runUid}/`;
    const objects = await contents(root);
    const json = (key: string) => JSON.parse(objects.get(`${root}${key}`)?.toString() ?? "null");
    for (const step of [10, 20, 30]) {
      const place = `data/step-0000000000${step}-a0001/`;
      const manifest = json(`${place}MANIFEST.json`);
      expect(manifest).toMatchObject({ runUid, attempt: 1, step, epoch: step / 10, time: expect.any(String) });
      expect(json(`${place}state.json`)).toMatchObject({ step });
      const paths = manifest.files.map(({ path }: { path: string }) => `${root}${place}${path}`);
      expect([...objects.keys()].filter((key) => key.startsWith(`${root}${place}`)).sort()).toEqual(
        [...paths, `${root}${place}MANIFEST.json`].sort(),
      );
    }
    expect(json("latest.json")).toMatchObject({ version: 1, name: "latest", step: 30, epoch: 3 });
    const { digest } = json("data/step-000000000020-a0001/MANIFEST.json");
    const metrics = [{ name: "loss", value: "0.1" }];
    const best = { version: 1, name: "best", step: 20, epoch: 2, attempt: 1, metrics, digest };
    expect(json("best.json")).toMatchObject({ ...best, directory: "step-000000000020-a0001" });
  });

  test("moves its names with the checkpoints, and takes them away with the last", async () => {
    const { objectStore, point } = await mirroredRun("moved");
    await point();
    await objectStore.point("best", null);
    await objectStore.point("latest", null);
    expect([...(await contents(`moved/${runUid}/`)).keys()].filter((key) => /\/(best|latest)/.test(key))).toEqual([]);
    await point();
    expect((await contents(`moved/${runUid}/best`)).size).toBe(1);
  });

  test("copied out by a tool, is a run that any reader of the format reads", async ({ skip }) => {
    const { volume, point } = await mirroredRun("copied");
    await point();
    const copy = await mkdtemp(join(tmpdir(), "names-copy-"));
    onTestFinished(() => rm(copy, { recursive: true, force: true }));
    const root = `copied/${runUid}/`;
    for (const [key, bytes] of await contents(root)) {
      const path = join(copy, key.slice(root.length));
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, bytes);
    }
    const report = await readerReport(copy, runUid);
    const { candidates, checkpoints } = await readerReport(volume.root, runUid);
    expect(report).toMatchObject({ candidates, checkpoints });
    const python = await findPython();
    if (python === null) skip("python3 is not installed");
    else expect(await pythonReport(python, { root: copy, runUid })).toEqual(report);
  });
});
