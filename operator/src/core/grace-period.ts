import { finalSaveSeconds } from "@trainingrun/checkpoint/contract/final-save-time.ts";
import type { AttemptEntry, TrainingRunStatus } from "../api/status.ts";
import { minGraceSeconds } from "../api/template.ts";
import type { TrainingRun } from "../api/training-run.ts";
import type { Statement } from "./conditions.ts";
import type { AttemptFacts } from "./facts.ts";
import { durabilityOf, graceSecondsOf } from "./pod-environment.ts";

const type = "GracePeriodSufficient";
/** Measured saves are not the slowest there can be. */
const margin = 1.25;

/** Compares the longest save that was seen, and its upload where nothing else outlives the pod, with the time there is. */
export function gracePeriod(run: TrainingRun, status: TrainingRunStatus, facts: AttemptFacts | null): Statement[] {
  const { longest, upload, timedOut } = measured(run, status, facts);
  const grace = graceSecondsOf(run);
  const needed = status.graceNeededSeconds ?? grace;
  const isRaised = timedOut?.graceSeconds !== undefined && timedOut.graceSeconds < grace;
  if (timedOut !== undefined && !isRaised)
    return [tooShort({ grace, needed }, `attempt ${timedOut.number} could not save in time`)];
  if (longest + (upload ?? 0) > grace) return [tooShort({ grace, needed }, words(longest, upload ?? 0))];
  if (longest === 0 || upload === null) return timedOut === undefined ? [] : [untried(grace, timedOut)];
  const what = upload === 0 ? "Saves" : "Saves and their uploads";
  const message = `${what} seen so far fit into the grace period of ${grace} s.`;
  return [{ type, status: "True", reason: "LongEnough", message }];
}

/**
 * What the grace period has to be, by what was measured: the longest save, its upload where nothing else outlives the pod,
 * and something to spare; and twice what was not enough. What is on record stays where less is known than then.
 */
export function graceNeeded(
  run: TrainingRun,
  status: TrainingRunStatus,
  facts: AttemptFacts | null,
): Pick<TrainingRunStatus, "graceNeededSeconds"> {
  const { longest, upload, timedOut } = measured(run, status, facts);
  const tooLittle = timedOut === undefined ? 0 : 2 * (timedOut.graceSeconds ?? graceSecondsOf(run));
  const seconds = roundedUp(Math.max((longest + (upload ?? 0)) * margin, tooLittle));
  const isWhole = saveSeconds(facts) > 0 && upload !== null;
  const needed = isWhole ? seconds : Math.max(seconds, status.graceNeededSeconds ?? 0);
  return needed === 0 ? {} : { graceNeededSeconds: Math.max(minGraceSeconds, needed) };
}

type Measured = Readonly<{ longest: number; upload: number | null; timedOut: AttemptEntry | undefined }>;

/** The longest save in seconds, what its upload takes on top, and the last attempt where that could not save in time. */
function measured(run: TrainingRun, { attempts = [] }: TrainingRunStatus, facts: AttemptFacts | null): Measured {
  const finals = attempts
    .filter(({ finalCheckpoint }) => finalCheckpoint === "Saved")
    .map(({ graceUsedSeconds }) => Number(graceUsedSeconds ?? 0));
  const newest = attempts.find(({ finalCheckpoint }) => finalCheckpoint === "Saved" || finalCheckpoint === "TimedOut");
  return {
    longest: Math.max(0, ...finals, saveSeconds(facts)),
    upload: durabilityOf(run) === "Ephemeral" ? uploadSeconds(facts) : 0,
    timedOut: newest?.finalCheckpoint === "TimedOut" ? newest : undefined,
  };
}

/** In steps that grow with it, so that it is not another number after every save. */
function roundedUp(seconds: number): number {
  const step = seconds <= 60 ? 5 : seconds <= 600 ? 30 : 300;
  return Math.ceil(seconds / step) * step;
}

function tooShort({ grace, needed }: { grace: number; needed: number }, seen: string): Statement {
  const message = `The grace period is ${grace} s, but ${seen}: set spec.template.spec.terminationGracePeriodSeconds to ${needed}. It holds from the next attempt on: suspend and resume the run for it to hold now.`;
  return { type, status: "False", reason: "TooShort", message };
}

/** Nothing was measured since that could be compared, and what was said of the old one holds no more. */
function untried(grace: number, { number, graceSeconds }: AttemptEntry): Statement {
  const message = `The grace period is ${grace} s. Attempt ${number} could not save in its ${graceSeconds} s; nothing is known yet of the longer one.`;
  return { type, status: "Unknown", reason: "NotMeasured", message };
}

/**
 * Only the words are rounded, the upload's to ten seconds, so that no status is written for every change of the network's
 * speed.
 */
function words(save: number, upload: number): string {
  return upload > 0
    ? `a save takes ${Math.ceil(save)} s and its upload about ${Math.ceil(upload / 10) * 10} s, without which it goes with the pod`
    : `a save took ${Math.ceil(save)} s`;
}

/** A save beside training is paced, and the last one before the pod ends is not: it takes as long as its bytes and what the trainer keeps free. */
function saveSeconds(facts: AttemptFacts | null): number {
  const saves = facts?.progress?.saves;
  if (saves === undefined || saves.committed === 0) return 0;
  const { lastBytes, bytesPerSecond = 0, lastSeconds } = saves;
  const { overhead, reserve } = finalSaveSeconds;
  return (bytesPerSecond > 0 ? Math.min(lastSeconds, lastBytes / bytesPerSecond) : lastSeconds) + overhead + reserve;
}

/** How long the newest save takes to upload at the speed that was seen; null before there was one. */
function uploadSeconds(facts: AttemptFacts | null): number | null {
  const rate = facts?.mirror?.bytesPerSecond ?? 0;
  const bytes = facts?.progress?.saves.lastBytes ?? facts?.latestVerified?.bytes ?? 0;
  return rate === 0 || bytes === 0 ? null : bytes / rate + finalSaveSeconds.agent;
}
