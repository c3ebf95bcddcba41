import { setTimeout as sleep } from "node:timers/promises";
import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import { savePatienceSeconds, stuckAfterSeconds } from "@trainingrun/checkpoint/contract/save-patience.ts";
import type { FinalCheckpoint } from "@trainingrun/checkpoint/contract/termination.ts";
import { type FinalSaveInput, type FinalSavePlan, planFinalSave } from "./final-save.ts";
import { lessUpload } from "./final-save-upload.ts";
import type { Deadline } from "./grace.ts";
import type { InFlight, Saved, SaveRequest, Saver } from "./saver.ts";

/** What the last save needs of a run that trains no more. */
export type StoppedRun = {
  readonly step: number;
  readonly saver: Saver;
  /** A checkpoint of that step which lacks what has been evaluated since; the run is not done with it. */
  readonly outdated?: Digest | null;
  saveRequest(): SaveRequest;
};

/** What it needs of one that is asked to end: how fast its agent uploads what would end with the pod, where that is so. */
export type HurriedRun = StoppedRun & { readonly uploadBytesPerSecond: number | null };

/** The final checkpoint of a run could not be saved, so it is not done. */
export class FinalSaveError extends Error {
  override name = "FinalSaveError";
}

const firstWaitMs = 100;
const longestWaitMs = 15_000;
/** Before the deadline: what writing the record and leaving take. */
const recordMs = 200;
/** What is only slow ends soon once it is abandoned, and takes away what it has written. */
const longestPartingMs = 5_000;
/** How often is looked whether a save moves. */
const lookMs = 1_000;
/** A timer takes no more. */
const longestTimerMs = 2 ** 31 - 1;

/**
 * Saves the last step of a finished run, unless that is saved already. One that fails is tried again for ten minutes at least.
 * One that is slow has all the time it takes as long as something of it moves; where nothing does for as long it is left, and
 * another is tried once. Null where it is over: a newer attempt holds the log, or `stop` was asked for, which leaves what is
 * left to {@link saveBefore}.
 */
export async function saveLastStep(run: StoppedRun, patience: Patience): Promise<Saved | null> {
  const { stop, patienceMs = patienceOf } = patience;
  const { saver } = run;
  const beganMs = performance.now();
  const isOver = () => isFinal(saver.last, run) || saver.fence !== null || stop.aborted;
  let save = saver.inFlight;
  let late = 0;
  let failingSinceMs: number | null = null;
  for (let tries = 0; ; tries += 1) {
    const limitMs = patienceMs(saver, save?.bytes ?? 0);
    const hangs = save !== null && (await endsOrHangs(save, { limitMs, stop })) === "late";
    if (save !== null && hangs) {
      late += 1;
      await part(save, { ...patience, saver, isLast: late > 1 });
    }
    if (isOver()) break;
    if (late > 1) throw notSaved(run, { late: save, tries, beganMs });
    if (tries > 0 && !hangs) {
      failingSinceMs ??= performance.now();
      const untilMs = failingSinceMs + limitMs;
      if (performance.now() + waitAfter(tries) > untilMs) throw notSaved(run, { late: null, tries, beganMs });
      await sleep(waitAfter(tries), undefined, { signal: stop }).catch(() => undefined);
      if (isOver()) break;
    }
    save = saver.begin(run.saveRequest());
  }
  return isFinal(saver.last, run) ? saver.last : null;
}

type Patience = {
  readonly stop: AbortSignal;
  /** For how long nothing of a save may move, and one that fails is tried again, given how much it writes. */
  readonly patienceMs?: (saver: Saver, bytes: number) => number;
  /** For how long one that was abandoned may still take to end. */
  readonly partingMs?: number;
};

function patienceOf({ counts }: Saver, bytes: number): number {
  return savePatienceSeconds({ ...counts, bytes }) * 1000;
}

/** Waits for a save for as long as it moves, and for a while beyond. */
async function endsOrHangs(
  save: InFlight,
  { limitMs, stop }: { limitMs: number; stop: AbortSignal },
): Promise<"ended" | "late" | "stopped"> {
  for (;;) {
    const leftMs = limitMs - save.time.idleSecondsAt(performance.now()) * 1000;
    if (leftMs <= 0) return "late";
    const ended = await endOf(save, { untilMs: performance.now() + Math.min(leftMs, lookMs), stop });
    if (ended !== "late") return ended;
  }
}

type Parting = Patience & { readonly saver: Saver; readonly isLast: boolean };

/** Gives a save up. It may still end in a moment, and even well; one that does not is left, so that another can be tried. */
async function part(save: InFlight, { saver, stop, partingMs = longestPartingMs, isLast }: Parting): Promise<void> {
  save.abandon();
  const ended = await endOf(save, { untilMs: performance.now() + partingMs, stop });
  if (ended !== "late" || isLast) return;
  saver.leave("nothing of it moves; look at the volume and its mount");
  await save.done;
}

type Tried = { readonly late: InFlight | null; readonly tries: number; readonly beganMs: number };

function notSaved({ step }: StoppedRun, { late, tries, beganMs }: Tried): FinalSaveError {
  const seconds = ((performance.now() - beganMs) / 1000).toFixed(0);
  const seen =
    late === null
      ? `step ${step} failed ${tries} times in ${seconds} s (see above)`
      : `the save of step ${late.step} has not ended in ${seconds} s. Look at the volume and its mount`;
  return new FinalSaveError(`Cannot finish the run because its final checkpoint must be saved: ${seen}.`);
}

/** Whether a run that has finished can be done with this checkpoint. */
export function isFinal(
  saved: Saved | null,
  { step, outdated }: Pick<StoppedRun, "step" | "outdated">,
): saved is Saved {
  return saved?.step === step && saved.digest !== outdated;
}

/** How a save under a deadline went; `checkpoint` holds the last step, where there is one. */
export type HurriedSave = {
  readonly finalCheckpoint: FinalCheckpoint;
  readonly checkpoint: Saved | null;
  readonly why: string;
};

/**
 * Saves what can be saved until the deadline, and never begins what cannot end before it. A save that fails in time is
 * tried again until the deadline: a volume may be full only until the agent has pruned. What has to be uploaded is
 * saved while there is time for that as well.
 */
export async function saveBefore(deadline: Deadline, run: HurriedRun): Promise<HurriedSave> {
  const { step, saver } = run;
  if (step === 0) return { finalCheckpoint: "NotAttempted", checkpoint: null, why: "no step was trained" };
  const save = await saveInTime(deadline, run);
  if (save.checkpoint !== null || saver.last?.step !== step) return save;
  // No step is lost: the next attempt evaluates anew.
  return { finalCheckpoint: "Saved", checkpoint: saver.last, why: `without what was evaluated since; ${save.why}` };
}

async function saveInTime(deadline: Deadline, run: HurriedRun): Promise<HurriedSave> {
  for (let tries = 1; ; tries += 1) {
    // It would hold up the save of all that was trained since, until the kill.
    if (run.saver.leaveStuck(stuckAfterSeconds)) await run.saver.inFlight?.done;
    // Held before anything is waited for: this is the state that is to be saved.
    const request = run.saveRequest();
    const bytes = bytesOf(request);
    const end = lessUpload(deadline, { bytes, bytesPerSecond: run.uploadBytesPerSecond });
    const save = await saveOnceBefore(end, { run, request, bytes });
    if (save.finalCheckpoint === "TimedOut" && tries > 1) {
      return { ...save, finalCheckpoint: "Failed", why: `${tries - 1} tries failed (see above); ${save.why}` };
    }
    if (save.finalCheckpoint !== "Failed" || run.saver.fence !== null) return save;
    const leftMs = end.latestMs - performance.now();
    await sleep(Math.max(0, Math.min(waitAfter(tries), leftMs / 4)));
  }
}

function waitAfter(tries: number): number {
  return Math.min(longestWaitMs, firstWaitMs * 2 ** (tries - 1));
}

function bytesOf({ snapshot }: SaveRequest): number {
  return [...snapshot.weights, ...snapshot.optimizerTensors].reduce((sum, { bytes }) => sum + bytes, 0);
}

async function saveOnceBefore(
  deadline: Deadline,
  { run, request, bytes }: { run: HurriedRun; request: SaveRequest; bytes: number },
): Promise<HurriedSave> {
  const { saver, step, outdated, uploadBytesPerSecond } = run;
  const plan = planWithin(deadline, {
    step,
    savedStep: saver.last?.step ?? 0,
    isOutdated: saver.last !== null && saver.last.digest === outdated,
    inFlight: saver.inFlight,
    bytes,
    bytesPerSecond: saver.bytesPerSecond,
  });
  const inFlightStep = saver.inFlight?.step ?? null;
  const inTime = await carryOut(plan, { run, request, deadlineMs: deadline.latestMs - recordMs });
  const checkpoint = isFinal(saver.last, run) ? saver.last : null;
  const why = uploadBytesPerSecond === null ? plan.why : `${plan.why}, without what the upload needs`;
  return { finalCheckpoint: verdict(plan, { inTime, checkpoint, inFlightStep, step }), checkpoint, why };
}

/**
 * Plans for the time that is there for sure. Where that is too little, what may be there is tried: a kill in the middle
 * costs nothing, because half a save is invisible and the provisional record stands.
 */
function planWithin({ sureMs, latestMs }: Deadline, input: Omit<FinalSaveInput, "remainingSeconds">): FinalSavePlan {
  const nowMs = performance.now();
  const plan = planFinalSave({ ...input, remainingSeconds: (sureMs - nowMs) / 1000 });
  if (plan.action !== "give up") return plan;
  return planFinalSave({ ...input, remainingSeconds: (latestMs - nowMs) / 1000 });
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
  if ((await endOf(save, { untilMs: deadlineMs })) === "ended") return true;
  save.abandon();
  return false;
}

/** Waits for a save, but no longer than until an instant or a stop: from there on another deadline decides about it. */
async function endOf(
  { done }: InFlight,
  { untilMs, stop }: { untilMs: number; stop?: AbortSignal },
): Promise<"ended" | "late" | "stopped"> {
  const over = new AbortController();
  const signal = stop === undefined ? over.signal : AbortSignal.any([over.signal, stop]);
  const leftMs = Math.min(longestTimerMs, Math.max(0, untilMs - performance.now()));
  const late = sleep(leftMs, "late" as const, { signal }).catch(() => "stopped" as const);
  const first = await Promise.race([done.then(() => "ended" as const), late]);
  over.abort();
  return first;
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
