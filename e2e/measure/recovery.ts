import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { type Installation, install } from "../harness/installation.ts";
import { interrupt } from "../harness/interruptions.ts";
import { RunAccess } from "../harness/run-access.ts";
import { findRunVolume } from "../harness/run-volume.ts";
import { PlainJob } from "./plain-job.ts";
import { type Measurement, median, quantile, type Result, rounded } from "./result.ts";
import { mnistManifest } from "./trained-run.ts";

const evictions = 12;
const jobStarts = 6;
const jobEvictions = 3;
const limitMs = 25 * 60_000;
/** Training between two evictions, so that steps advance as they do in life. */
const trainingMs = 3_000;
/** What one step of two equal measurements may differ by on a machine that does other things too. */
const noiseSeconds = 0.5;

const env = { MNIST_STEPS: "1000000", MNIST_STEP_MS: "50", MNIST_EVALUATE_EVERY: "1000000" };

/**
 * From the eviction call to the next attempt's first new step, beside the time that the same container takes from a
 * `batch/v1` Job's creation to its first step, and beside that Job's own recoveries. Both take turns in one run.
 */
export const recovery: Measurement = {
  name: "recovery",
  what: `${evictions} evictions of a run, ${jobStarts} starts of the same container as a Job, ${jobEvictions} evictions of that Job`,
  seconds: 360,
  run: measureRecovery,
};

async function measureRecovery(): Promise<Result> {
  const signal = AbortSignal.timeout(limitMs);
  const directory = await mkdtemp(join(tmpdir(), "trainingrun-recovery-"));
  const report = (line: string) => console.log(`  ${line}`);
  const installation = await install({ directory: join(directory, "cluster"), report, signal });
  try {
    const access = new RunAccess(installation.api, { namespace: "default", name: "recovery" });
    await access.create(await mnistManifest({ env, intervalSteps: 200 }));
    const ours: number[] = [];
    const starts: number[] = [];
    for (let index = 0; index < evictions; index += 1) {
      ours.push(await evictRun(installation, access, signal));
      report(`eviction ${index + 1}: first new step after ${ours.at(-1)?.toFixed(2)} s`);
      if (index % (evictions / jobStarts) !== 0) continue;
      starts.push(await startJob(installation, starts.length, signal));
      report(`Job ${starts.length}: first step after ${starts.at(-1)?.toFixed(2)} s`);
    }
    const parts = (await access.get()).status.attempts
      .slice(0, evictions)
      .map(({ recoverySeconds }) => recoverySeconds);
    await access.remove(signal);
    const theirs = await evictJob(installation, report, signal);
    return resultOf({ ours, starts, theirs, parts, way: installation.cluster.way });
  } finally {
    await installation.remove();
  }
}

/** Seconds from the eviction call to the first step that the next attempt completed, by the trainer's own clock. */
async function evictRun({ api }: Installation, access: RunAccess, signal: AbortSignal): Promise<number> {
  const before = await access.waitFor("a training attempt", signal, ({ status }) => {
    const [entry] = status.attempts;
    return entry?.firstStepTime !== undefined && entry.endTime === undefined && status.state === "Running";
  });
  await wait(trainingMs, undefined, { signal });
  const { atMs } = await interrupt("eviction", { api, run: access, volume: await findRunVolume(api, before), signal });
  const after = await access.waitFor("the next attempt's first step", signal, ({ status }) =>
    status.attempts.some(
      ({ number, firstStepTime }) => number > (before.status.attempt ?? 0) && firstStepTime !== undefined,
    ),
  );
  const entry = after.status.attempts.find(({ number }) => number === (before.status.attempt ?? 0) + 1);
  return (Date.parse(entry?.firstStepTime ?? "") - atMs) / 1000;
}

async function startJob(installation: Installation, index: number, signal: AbortSignal): Promise<number> {
  const job = new PlainJob(installation.api, `plain-${index}`);
  const createdMs = Date.now();
  await job.create(await mnistManifest({ env, intervalSteps: 200 }));
  const firstStepMs = await job.firstStepAfter(createdMs, signal);
  await job.remove(signal);
  return (firstStepMs - createdMs) / 1000;
}

async function evictJob(
  { api }: Installation,
  report: (line: string) => void,
  signal: AbortSignal,
): Promise<readonly number[]> {
  const job = new PlainJob(api, "plain-evicted");
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

function resultOf(seen: {
  ours: readonly number[];
  starts: readonly number[];
  theirs: readonly number[];
  parts: readonly unknown[];
  way: string;
}): Result {
  const { ours, starts } = seen;
  const [middle, p95, start] = [median(ours), quantile(ours, 0.95), median(starts)];
  const [first, tenth] = [ours[0] ?? Number.NaN, ours[9] ?? Number.NaN];
  return {
    name: "recovery",
    holds: ours.length >= 10 && middle <= start + 2 && p95 <= 1.5 * middle && tenth <= first + noiseSeconds,
    figures: {
      cluster: seen.way,
      evictions: ours.length,
      medianSeconds: rounded(middle),
      p95Seconds: rounded(p95),
      firstSeconds: rounded(first),
      tenthSeconds: rounded(tenth),
      jobStartMedianSeconds: rounded(start),
      aboveJobStartSeconds: rounded(middle - start),
      ratioToJobStart: rounded(middle / start),
      seconds: ours.map(rounded),
      jobStartSeconds: starts.map(rounded),
      jobEvictionSeconds: seen.theirs.map(rounded),
      parts: seen.parts,
    },
    goals: {
      evictions: "at least 10",
      medianSeconds: "at most 2 s above jobStartMedianSeconds",
      p95Seconds: "at most 1.5 x median",
      tenthSeconds: `no slower than the first (within ${noiseSeconds} s of noise)`,
    },
  };
}
