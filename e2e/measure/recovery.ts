import { setTimeout as wait } from "node:timers/promises";
import type { Installation } from "../harness/installation.ts";
import { interrupt } from "../harness/interruptions.ts";
import { RunAccess } from "../harness/run-access.ts";
import type { RunView } from "../harness/run-view.ts";
import { findRunVolume } from "../harness/run-volume.ts";
import { onCluster } from "./on-cluster.ts";
import { type Claim, createClaim, PlainJob } from "./plain-job.ts";
import { losePlainContainers, losses } from "./recovery-plain.ts";
import { recoveryResult, type TrainedSeen } from "./recovery-result.ts";
import type { Measurement, Result } from "./result.ts";
import { mnistManifest } from "./trained-run.ts";

const evictions = 12;
/** So many before the run and as many after it: neither ever has the other's load beside it, and a drift shows. */
const jobStartsEach = 3;
const jobEvictions = 3;
/** Training between two evictions, so that steps advance as they do in life. */
const trainingMs = 3_000;

const env = { MNIST_STEPS: "1000000", MNIST_STEP_MS: "50", MNIST_EVALUATE_EVERY: "1000000" };

/**
 * Twice, on one cluster, with warm images and bound claims.
 *
 * What a user sees: from the eviction call to the first new step of a training, beside the time that the same container
 * takes from a `batch/v1` Job's creation to its first step, and beside that Job's own recoveries.
 *
 * What is left of that when the program costs nothing: from the loss of a plain container until the next one runs, under a
 * TrainingRun, a Job, a JobSet, and TrainJobs of Kubeflow. All are given the same container. A TrainingRun's runs once a
 * checkpoint has been verified and handed over to it. It then does one step and saves it, as a training would: an attempt
 * that brings none is followed after a back-off. docs/recovery.md tells what it takes to be fair to all.
 */
export const recovery: Measurement = {
  name: "recovery",
  what: `${evictions} evictions of a training and ${2 * jobStartsEach} starts of it as a Job; ${losses.eviction} evictions and ${losses.crash} crashes of a plain container under TrainingRun, Job, JobSet and TrainJob`,
  seconds: 560,
  limitMs: 25 * 60_000,
  run: async (signal) => {
    const report = (line: string) => console.log(`  ${line}`);
    return await onCluster({ name: "recovery", signal, report }, (on) => measureRecovery(on, { signal, report }));
  },
};

type Watch = Readonly<{ signal: AbortSignal; report: (line: string) => void }>;

async function measureRecovery(installation: Installation, { signal, report }: Watch): Promise<Result> {
  const claim = await createClaim(installation.api, "plain");
  await startJob({ installation, claim, name: "warm-up" }, signal);
  const starts: number[] = [];
  const startJobs = async () => {
    for (let index = 0; index < jobStartsEach; index += 1) {
      starts.push(await startJob({ installation, claim, name: `plain-${starts.length + 1}` }, signal));
      report(`Job ${starts.length}: first step after ${starts.at(-1)?.toFixed(2)} s`);
    }
  };
  await startJobs();
  const ours = await evictRuns(installation, { signal, report });
  await startJobs();
  const theirs: number[] = [];
  const meanwhile = async (either: AbortSignal) => {
    const watch = { signal: either, report };
    theirs.push(...(await evictJob({ installation, claim, name: "plain-evicted" }, watch)));
  };
  const plain = await losePlainContainers(installation, { signal, report, meanwhile });
  return recoveryResult({ way: installation.cluster.way, trained: { ...ours, starts, theirs }, plain });
}

async function evictRuns(
  installation: Installation,
  { signal, report }: Watch,
): Promise<Pick<TrainedSeen, "ours" | "parts">> {
  const access = new RunAccess(installation.api, { namespace: "default", name: "recovery" });
  await access.create(await mnistManifest({ env, intervalSteps: 200 }));
  const ours: number[] = [];
  for (let index = 0; index < evictions; index += 1) {
    ours.push(await evictRun(installation, access, signal));
    report(`eviction ${index + 1}: first new step after ${ours.at(-1)?.toFixed(2)} s`);
  }
  const { attempts } = (await access.get()).status;
  await access.remove(signal);
  return { ours, parts: attempts.slice(0, evictions).map(({ recoverySeconds }) => recoverySeconds) };
}

/**
 * Seconds from the eviction call to the first step that an attempt after the evicted one completed, by the trainer's own
 * clock. An attempt in between that made no step lengthens it.
 */
async function evictRun({ api }: Installation, access: RunAccess, signal: AbortSignal): Promise<number> {
  const before = await access.waitFor("a training attempt", signal, ({ status }) => {
    const [entry] = status.attempts;
    return entry?.firstStepTime !== undefined && entry.endTime === undefined && status.state === "Running";
  });
  await wait(trainingMs, undefined, { signal });
  const volume = await findRunVolume(api, before);
  const { atMs, attempt } = await interrupt("eviction", { api, run: access, volume, signal });
  if (attempt !== before.status.attempt)
    throw new Error(`Cannot time an eviction: attempt ${before.status.attempt} ended by itself before it`);
  const firstSteps = ({ status }: RunView) =>
    status.attempts.flatMap(({ number, firstStepTime }) =>
      number > attempt && firstStepTime !== undefined ? Date.parse(firstStepTime) : [],
    );
  const after = await access.waitFor("the next attempt's first step", signal, (run) => firstSteps(run).length > 0);
  const firstMs = Math.min(...firstSteps(after));
  if (!(firstMs > atMs)) throw new Error("Cannot time an eviction: the first step after it is dated before it");
  return (firstMs - atMs) / 1000;
}

type JobToStart = Readonly<{ installation: Installation; claim: Claim; name: string }>;

async function startJob({ installation, claim, name }: JobToStart, signal: AbortSignal): Promise<number> {
  const job = new PlainJob(installation.api, { name, claim });
  const manifest = await mnistManifest({ env, intervalSteps: 200 });
  const createdMs = Date.now();
  await job.create(manifest);
  const firstStepMs = await job.firstStepAfter(createdMs, signal);
  await job.remove(signal);
  return (firstStepMs - createdMs) / 1000;
}

async function evictJob(
  { installation, claim, name }: JobToStart,
  { signal, report }: Watch,
): Promise<readonly number[]> {
  const job = new PlainJob(installation.api, { name, claim });
  const createdMs = Date.now();
  await job.create(await mnistManifest({ env, intervalSteps: 200 }));
  await job.firstStepAfter(createdMs, signal);
  const seconds: number[] = [];
  for (let index = 0; index < jobEvictions; index += 1) {
    await wait(trainingMs, undefined, { signal });
    const evictedMs = Date.now();
    await job.evict();
    seconds.push(((await job.firstStepAfter(evictedMs, signal)) - evictedMs) / 1000);
    report(`Job evicted: first new step after ${seconds.at(-1)?.toFixed(2)} s`);
  }
  await job.remove(signal);
  return seconds;
}
