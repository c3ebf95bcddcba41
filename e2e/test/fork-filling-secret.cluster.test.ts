import { appendFile, lstat, mkdtemp, readdir, rm, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { directoryName } from "@trainingrun/checkpoint/directory-name.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { DirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { errorCode } from "@trainingrun/checkpoint/store/file-system.ts";
import { verifyCheckpoint } from "@trainingrun/checkpoint/verify.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { LoopVolume, whyNoLoopDevice } from "../../checkpoint/test/loop-device/loop-volume.ts";
import { type Manifest, withSpec, withTrainer } from "../causes/manifests.ts";
import { type Installation, install, systemNamespace } from "../harness/installation.ts";
import { RunAccess, until } from "../harness/run-access.ts";
import { conditionOf, hasEnded, type RunView } from "../harness/run-view.ts";
import { findRunVolume, weightsDigest } from "../harness/run-volume.ts";
import { mnistManifest } from "../measure/trained-run.ts";
import { type ObjectStore, startStore } from "../object-store/store.ts";
import { storeClient } from "../object-store/store-access.ts";

/*
 * What surrounds the checkpoints of a run on a cluster: the keys of its bucket, the end of its volume, and a checkpoint
 * that is another run's. The trainer is the small one, so that all of it takes seconds; the tests go on beside each other.
 */

const limit = () => AbortSignal.timeout(120_000);
const namespace = "default";
const noLoopDevice = whyNoLoopDevice();

let directory: string;
let installation: Installation;
let store: ObjectStore;
let small: LoopVolume | undefined;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "trainingrun-surroundings-"));
  const report = (line: string) => console.log(`  ${line}`);
  const signal = AbortSignal.timeout(840_000);
  const where = { directory: join(directory, "cluster"), way: "processes" as const };
  store = await startStore("versitygw", { directory: join(directory, "store"), signal });
  if (noLoopDevice === null) small = await LoopVolume.create({ bytes: 16 * 2 ** 20 });
  installation = await install({ ...where, report, signal });
});

afterAll(async () => {
  await installation?.remove();
  await small?.[Symbol.asyncDispose]();
  await store?.stop();
  await rm(directory, { recursive: true, force: true });
});

describe.concurrent("on a cluster of processes", () => {
  test("a run whose Secret is missing waits in words that name it, writes nothing, and begins when it is there", async () => {
    const run = await start("keyless", { steps: 60, secret: "late-keys" });
    const waiting = await run.waitFor("the name of the Secret", limit(), (view) => {
      const progressing = conditionOf(view, "Progressing");
      return progressing?.reason === "Blocked" && progressing.message.includes("late-keys");
    });
    expect(conditionOf(waiting, "Progressing")?.status).toBe("False");
    const [pod] = await run.pods();
    await operatorLooksAround();
    const before = await resourceVersion(run);
    await operatorLooksAround();
    expect(await resourceVersion(run)).toBe(before);
    expect((await run.pods()).map(({ metadata }) => metadata.uid)).toEqual([pod?.metadata.uid]);
    await putKeys("late-keys");
    const done = await run.waitFor("its end, with all of it in the bucket", limit(), isDoneInBucket);
    expect(done.status).toMatchObject({
      attempts: [{ number: 1, cause: "Complete", pods: [{ uid: pod?.metadata.uid }] }],
      latestVerified: { step: 60, tiers: ["Volume", "ObjectStore"] },
      totals: { failures: 0, disruptions: 0 },
    });
    expect(done.status.retry?.disruptions ?? 0).toBe(0);
  });

  test("a volume that fills up is announced, stops a save and neither the training nor what was verified, and is used again", async ({
    skip,
  }) => {
    if (small === undefined) return skip(noLoopDevice ?? "there is no image");
    const { path } = small;
    await makeClaim("small", path);
    const run = await start("filled", { steps: 1_000_000, weights: 150_000, claimName: "small" });
    const saved = await run.waitFor("a verified checkpoint", limit(), isVerified);
    const uid = saved.metadata.uid;
    const other = join(path, "another-run");
    const room = (saved.status.latestVerified?.bytes ?? 0) / 2;
    let failedStep = 0;
    await until("a save to meet the end of the volume", limit(), async () => {
      await fillUpTo(path, { file: other, room });
      const said = await run.logs("filled-1-0", "trainer");
      failedStep = Number(/Saving step (\d+) failed; training goes on: .*ENOSPC/s.exec(said)?.[1] ?? 0);
      return failedStep > 0;
    });
    const announced = await run.waitFor(
      "the announcement, and training behind the save that failed",
      limit(),
      (view) => healthOf(view) === "VolumeFilling" && (view.status.progress?.step ?? 0) > failedStep + 20,
    );
    expect(conditionOf(announced, "CheckpointsHealthy")?.message).toContain(
      "The volume has no room for the next checkpoint",
    );
    const kept = await wholeSteps(new DirectoryStore(join(path, uid), uid));
    expect(kept).toContain(announced.status.latestVerified?.step);
    await rm(other);
    const after = await run.waitFor(
      "a checkpoint of after it",
      limit(),
      (view) => healthOf(view) === "Healthy" && (view.status.latestVerified?.step ?? 0) > failedStep,
    );
    expect(after.status).toMatchObject({
      attempts: [{ number: 1 }],
      refused: [],
      totals: { failures: 0, disruptions: 0 },
    });
  });

  test("a fork goes on from the verified checkpoint of a finished run, out of its bucket or its claim, and writes to neither", async () => {
    await putKeys("keys");
    const sourceRun = await start("source", { steps: 60, secret: "keys" });
    const source = await sourceRun.waitFor("its end, with all of it in the bucket", limit(), isDoneInBucket);
    const { uid } = source.metadata;
    const final = source.status.latestVerified ?? { step: 0, attempt: 0, digest: "none" };
    const volume = await findRunVolume(installation.api, source);
    const before = [await treeOf(volume.directory), await objectsOf(uid)];
    const claim = `source-${uid.slice(0, 8)}`;
    const uri = `pvc://${claim}/${uid}/data/${directoryName(final.step, final.attempt)}`;
    const forks = {
      ObjectStore: await start("from-bucket", { steps: 90, secret: "keys", from: { run: "source", step: final.step } }),
      Volume: await start("from-claim", { steps: 90, from: { uri, digest: final.digest } }),
    };
    const weights = await weightsDigest(volume, final);
    for (const [tier, fork] of Object.entries(forks)) {
      const end = await fork.waitFor("its end", limit(), (view) => hasEnded(view) && isAccountedFor(view));
      expect(end.status).toMatchObject({
        attempts: [{ number: 1, cause: "Complete", resumedFrom: { step: final.step, tier } }],
        latestVerified: { step: 90, attempt: 1 },
      });
      expect(await sourceOf(fork)).toBe(uid);
      const copy = await findRunVolume(installation.api, end);
      expect(copy.directory).not.toBe(volume.directory);
      expect(await weightsDigest(copy, { step: final.step, attempt: 1 })).toBe(weights);
    }
    expect([await treeOf(volume.directory), await objectsOf(uid)]).toEqual(before);
    expect(before.map(({ length }) => length > 5)).toEqual([true, true]);
  });
});

type Shape = Readonly<{
  steps: number;
  weights?: number;
  /** Of the keys of the bucket; a run without it has none. */
  secret?: string;
  claimName?: string;
  from?: Readonly<Record<string, unknown>>;
}>;

/** Creates a run of the small trainer, which saves every 10 steps of at least 30 ms. */
async function start(name: string, shape: Shape): Promise<RunAccess> {
  const run = new RunAccess(installation.api, { namespace, name });
  await run.create(manifestOf(await mnistManifest({ env: {}, intervalSteps: 10 }), shape));
  return run;
}

function manifestOf(example: Manifest, { steps, weights = 64, secret, claimName, from }: Shape): Manifest {
  const settings = { LINEAR_STEPS: steps, LINEAR_STEP_MS: 30, LINEAR_WEIGHTS: weights };
  const trainer = withTrainer(example, {
    args: ["/opt/trainingrun/trainer/linear.mjs"],
    env: Object.entries(settings).map(([variable, value]) => ({ name: variable, value: `${value}` })),
    resources: { requests: { cpu: "10m", memory: "64Mi" } },
  });
  const { endpoint, bucket, region } = store.access;
  const objectStore = { endpoint, bucket, region, credentialsSecretName: secret };
  return withSpec(trainer, {
    checkpoint: {
      ...trainer.spec.checkpoint,
      retention: { last: 2 },
      ...(secret === undefined ? {} : { objectStore }),
      ...(claimName === undefined ? {} : { volume: { claimName } }),
    },
    ...(from === undefined ? {} : { resume: { from } }),
  });
}

async function putKeys(name: string): Promise<void> {
  const { accessKeyId, secretAccessKey } = store.access;
  await installation.api.expect("POST", `/api/v1/namespaces/${namespace}/secrets`, {
    metadata: { name },
    stringData: { accessKeyId, secretAccessKey },
  });
}

/** A claim on a directory of this machine that is there already. */
async function makeClaim(name: string, path: string): Promise<void> {
  const storage = "16Mi";
  const anywhere = { matchExpressions: [{ key: "kubernetes.io/hostname", operator: "Exists" }] };
  const common = { storageClassName: name, accessModes: ["ReadWriteOnce"] };
  await installation.api.expect("POST", "/api/v1/persistentvolumes", {
    metadata: { name },
    spec: {
      ...common,
      capacity: { storage },
      local: { path },
      nodeAffinity: { required: { nodeSelectorTerms: [anywhere] } },
    },
  });
  await installation.api.expect("POST", `/api/v1/namespaces/${namespace}/persistentvolumeclaims`, {
    metadata: { name },
    spec: { ...common, volumeName: name, resources: { requests: { storage } } },
  });
}

/** Has a file take all of the volume but so many bytes; what others write there meanwhile may be in the way. */
async function fillUpTo(path: string, { file, room }: { file: string; room: number }): Promise<void> {
  const { bsize, bfree } = await statfs(path);
  const bytes = Math.floor(bsize * bfree - room);
  if (bytes <= 0) return;
  try {
    await appendFile(file, new Uint8Array(bytes), { flush: true });
  } catch (error) {
    if (errorCode(error) !== "ENOSPC") throw error;
  }
}

/** The steps that the log has; every one of them is whole on the disk. */
async function wholeSteps(volume: DirectoryStore): Promise<number[]> {
  const { checkpoints } = (await readLog(volume)).state;
  for (const checkpoint of checkpoints) {
    expect(await verifyCheckpoint(volume, checkpoint)).toMatchObject({ ok: true });
  }
  return checkpoints.map(({ step }) => step);
}

/** Names, sizes and times of all that lies below a directory. */
async function treeOf(root: string): Promise<string[]> {
  const names = (await readdir(root, { recursive: true })).toSorted();
  return Promise.all(
    names.map(async (name) => {
      const { size, mtimeMs } = await lstat(join(root, name));
      return `${name} ${size} ${mtimeMs}`;
    }),
  );
}

/** Names, contents and times of all that a run has in the bucket. */
async function objectsOf(uid: string): Promise<string[]> {
  const found: string[] = [];
  for await (const object of storeClient(store.access).listObjectsV2(store.access.bucket, `${uid}/`, true)) {
    found.push(JSON.stringify(object));
  }
  return found.toSorted();
}

const pathOf = ({ name }: RunAccess) =>
  `/apis/trainingrun.dev/v1alpha1/namespaces/${name.namespace}/trainingruns/${name.name}`;

const Versioned = z.object({ metadata: z.object({ resourceVersion: z.string() }) });

async function resourceVersion(run: RunAccess): Promise<string> {
  return Versioned.parse(await installation.api.expect("GET", pathOf(run))).metadata.resourceVersion;
}

const Forked = z.object({
  status: z.object({ attempts: z.tuple([z.object({ source: z.object({ uid: z.string() }) })]) }),
});

/** The run that the only attempt was told to take its checkpoint from. */
async function sourceOf(run: RunAccess): Promise<string> {
  return Forked.parse(await installation.api.expect("GET", pathOf(run))).status.attempts[0].source.uid;
}

const Leases = z.object({ items: z.array(z.object({ spec: z.object({ renewTime: z.string() }) })) });

/** Waits for as long as the operator takes to renew its lease twice: it has looked at everything meanwhile. */
async function operatorLooksAround(): Promise<void> {
  const path = `/apis/coordination.k8s.io/v1/namespaces/${systemNamespace}/leases`;
  const renewals = new Set<string>();
  await until("the operator to renew its lease twice", limit(), async () => {
    for (const { spec } of Leases.parse(await installation.api.expect("GET", path)).items) renewals.add(spec.renewTime);
    return renewals.size > 2;
  });
}

function isVerified({ status }: RunView): boolean {
  return status.latestVerified !== undefined;
}

function isAccountedFor({ status }: RunView): boolean {
  return status.attempts[0]?.cause !== undefined;
}

function isDoneInBucket(view: RunView): boolean {
  const tiers = view.status.latestVerified?.tiers ?? [];
  return hasEnded(view) && isAccountedFor(view) && tiers.includes("ObjectStore");
}

function healthOf(view: RunView): string {
  return conditionOf(view, "CheckpointsHealthy")?.reason ?? "";
}
