import { setTimeout as sleep } from "node:timers/promises";
import type { FinalCheckpoint } from "@trainingrun/checkpoint/contract/termination.ts";
import { type FinalSavePlan, planFinalSave } from "./final-save.ts";
import type { InFlight, Saved, SaveRequest, Saver } from "./saver.ts";

/** What the last save needs of a run that trains no more. */
export type StoppedRun = {
  readonly step: number;
  readonly saver: Saver;
  saveRequest(): SaveRequest;
};

/** The final checkpoint of a run could not be saved, so it is not done. */
export class FinalSaveError extends Error {
  override name = "FinalSaveError";
}

const maxTries = 3;
const betweenTriesMs = 1000;
/** Before the deadline: what writing the record and leaving take. */
const recordMs = 200;

/** Saves the last step of a finished run, unless that is saved already. Null when a newer attempt holds the log. */
export async function saveLastStep(run: StoppedRun): Promise<Saved | null> {
  const { saver } = run;
  await saver.inFlight?.done;
  for (let tries = 1; tries <= maxTries; tries += 1) {
    if (saver.fence !== null) return null;
    if (saver.last?.step === run.step) return saver.last;
    await saver.begin(run.saveRequest()).done;
    if (saver.last?.step !== run.step && tries < maxTries) await sleep(betweenTriesMs);
  }
  if (saver.fence !== null) return null;
  if (saver.last?.step === run.step) return saver.last;
  throw new FinalSaveError(
    `Cannot finish the run because its final checkpoint must be saved: step ${run.step} failed ${maxTries} times (see above).`,
  );
}

/** How a save under a deadline went; `checkpoint` holds the last step, where there is one. */
export type HurriedSave = {
  readonly finalCheckpoint: FinalCheckpoint;
  readonly checkpoint: Saved | null;
  readonly why: string;
};

/**
 * Saves what can be saved until `deadlineMs` on the monotonic clock, and never begins what cannot end before it. A save
 * that fails in time is tried again: a volume may be full only until the agent has pruned.
 */
export async function saveBefore(deadlineMs: number, run: StoppedRun): Promise<HurriedSave> {
  if (run.step === 0) return { finalCheckpoint: "NotAttempted", checkpoint: null, why: "no step was trained" };
  for (let tries = 1; ; tries += 1) {
    const save = await saveOnceBefore(deadlineMs, run);
    if (save.finalCheckpoint !== "Failed" || run.saver.fence !== null || tries === maxTries) return save;
    const leftMs = deadlineMs - performance.now();
    await sleep(Math.max(0, Math.min(betweenTriesMs, leftMs / 4)));
  }
}

async function saveOnceBefore(deadlineMs: number, run: StoppedRun): Promise<HurriedSave> {
  const { saver, step } = run;
  // Held before anything is waited for: this is the state that is to be saved.
  const request = run.saveRequest();
  const bytes = [...request.snapshot.weights, ...request.snapshot.optimizerTensors].reduce(
    (sum, { bytes }) => sum + bytes,
    0,
  );
  const plan = planFinalSave({
    step,
    savedStep: saver.last?.step ?? 0,
    inFlight: saver.inFlight,
    bytes,
    bytesPerSecond: saver.bytesPerSecond,
    remainingSeconds: (deadlineMs - performance.now()) / 1000,
  });
  const inFlightStep = saver.inFlight?.step ?? null;
  const inTime = await carryOut(plan, { run, request, deadlineMs: deadlineMs - recordMs });
  const checkpoint = saver.last?.step === step ? saver.last : null;
  return { finalCheckpoint: verdict(plan, { inTime, checkpoint, inFlightStep, step }), checkpoint, why: plan.why };
}

async function carryOut(
  { action }: FinalSavePlan,
  { run, request, deadlineMs }: { run: StoppedRun; request: SaveRequest; deadlineMs: number },
): Promise<boolean> {
  const { saver } = run;
  if (action === "nothing to save" || action === "give up") return true;
  if (saver.inFlight !== null) {
    if (action === "abandon in-flight and save") saver.inFlight.abandon();
    if (!(await within(deadlineMs, saver.inFlight))) return false;
  }
  // An evaluation that began meanwhile would be repeated; the step is what counts.
  if (action === "finish in-flight") return true;
  return within(deadlineMs, saver.begin(request));
}

/** Waits for a save, and abandons it at the deadline: what is half written then is invisible to every reader. */
async function within(deadlineMs: number, save: InFlight): Promise<boolean> {
  const timer = new AbortController();
  const left = Math.max(0, deadlineMs - performance.now());
  const timeout = sleep(left, "timeout" as const, { signal: timer.signal }).catch(() => "timeout" as const);
  const first = await Promise.race([save.done, timeout]);
  timer.abort();
  if (first !== "timeout") return true;
  save.abandon();
  return false;
}

function verdict(
  { action }: FinalSavePlan,
  ended: { inTime: boolean; checkpoint: Saved | null; inFlightStep: number | null; step: number },
): FinalCheckpoint {
  if (ended.checkpoint !== null) return "Saved";
  // An older save that was finished because only it fitted: the newest steps were given up, and no try was lost.
  const gaveUp = action === "give up" || (action === "finish in-flight" && ended.inFlightStep !== ended.step);
  return !ended.inTime || gaveUp ? "TimedOut" : "Failed";
}
