import type { ApiClient } from "../cluster/control-plane/api-client.ts";
import { type Interrupted, type InterruptionKind, interrupt } from "./interruptions.ts";
import type { LiveView } from "./live-view.ts";
import { type RunAccess, until } from "./run-access.ts";
import { hasEnded, type RunView } from "./run-view.ts";
import { findRunVolume, type RunVolume } from "./run-volume.ts";

/** A loss seen at a step by an attempt, and how long after the run was created. */
export type LossPoint = Readonly<{ step: number; loss: number; attempt: number; seconds: number }>;

/** A run that was watched to its end. */
export type WatchedRun = Readonly<{
  run: RunView;
  volume: RunVolume;
  losses: readonly LossPoint[];
  interruptions: readonly (Interrupted & Readonly<{ recoveredMs: number }>)[];
}>;

type Options = Readonly<{
  api: ApiClient;
  access: RunAccess;
  view: LiveView;
  /** What to do to the run, each once it has passed a share of its steps (0 to 1), in order. */
  plan: readonly Readonly<{ kind: InterruptionKind; at: number }>[];
  signal: AbortSignal;
}>;

/** Watches a run to its end, interrupting it as planned; an interruption waits until the one before has been recovered from. */
export async function watchRun({ api, access, view, plan, signal }: Options): Promise<WatchedRun> {
  const losses: LossPoint[] = [];
  const watch = (run: RunView) => {
    view.show(run);
    const point = lossOf(run);
    if (point !== null && !losses.some(({ step, attempt }) => step === point.step && attempt === point.attempt))
      losses.push(point);
  };
  const waitFor = (what: string, test: (run: RunView) => boolean) =>
    access.waitFor(what, signal, (run) => {
      watch(run);
      if (hasEnded(run) && !test(run)) throw new Error(`Cannot go on: the run ended before ${what}`);
      return test(run);
    });

  const interruptions: (Interrupted & { recoveredMs: number })[] = [];
  const started = await waitFor("the first verified checkpoint", (run) => run.status.latestVerified !== undefined);
  const volume = await findRunVolume(api, started);
  for (const { kind, at } of plan) {
    await waitFor(`step ${Math.round(at * 100)} % for the ${kind}`, (run) => isTraining(run) && shareOf(run) >= at);
    view.say(`-> ${kind} ...`);
    const done = await interrupt(kind, { api, run: access, volume, signal });
    view.say(`   ${done.detail}`);
    const back = await waitFor("the next attempt's first step", (run) => hasAdvanced(run, done.attempt));
    const recoveredMs = Date.now();
    const entry = back.status.attempts.find(({ number }) => number > done.attempt);
    const from = entry?.resumedFrom === undefined ? "nothing" : `verified step ${entry.resumedFrom.step}`;
    view.say(
      `   attempt ${back.status.attempt} resumed from ${from}, ${((recoveredMs - done.atMs) / 1000).toFixed(1)} s after`,
    );
    interruptions.push({ ...done, recoveredMs });
  }
  await access.waitFor("the end of the run", signal, (seen) => {
    watch(seen);
    return hasEnded(seen);
  });
  await until(
    "the last attempt to be accounted for",
    signal,
    async () => (await access.get()).status.attempts[0]?.cause !== undefined,
  );
  return { run: await access.get(), volume, losses, interruptions };
}

function isTraining(run: RunView): boolean {
  return run.status.state === "Running" && run.status.attempts[0]?.endTime === undefined;
}

function shareOf({ status: { progress } }: RunView): number {
  return progress?.targetStep ? progress.step / progress.targetStep : 0;
}

/** Whether an attempt after the one given has made a step of its own. */
function hasAdvanced(run: RunView, attempt: number): boolean {
  return run.status.attempts.some(({ number, firstStepTime }) => number > attempt && firstStepTime !== undefined);
}

function lossOf(run: RunView): LossPoint | null {
  const { progress, attempt } = run.status;
  const loss = Number(progress?.metrics.find(({ name }) => name === "loss")?.value ?? Number.NaN);
  if (progress === undefined || attempt === undefined || !Number.isFinite(loss)) return null;
  return {
    step: progress.step,
    loss,
    attempt,
    seconds: (Date.now() - Date.parse(run.metadata.creationTimestamp)) / 1000,
  };
}
