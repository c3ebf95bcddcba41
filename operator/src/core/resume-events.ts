import type { EnvironmentVerdict, PartialLoad, ReplayVerdict } from "@trainingrun/checkpoint/contract/resume.ts";
import type { AttemptEntry, TrainingRunStatus } from "../api/status.ts";
import type { RunEvent } from "./decision.ts";

const maxMessageLength = 1024;
const maxNamed = 4;

/** What became known since the last pass of how attempts took their checkpoints up: each part is told of once. */
export function resumeEvents(before: TrainingRunStatus, after: TrainingRunStatus): RunEvent[] {
  return (after.attempts ?? []).flatMap((entry) => {
    const known = before.attempts?.find(({ number }) => number === entry.number);
    return eventsOf(entry, known).map((event) => ({ ...event, message: event.message.slice(0, maxMessageLength) }));
  });
}

function eventsOf(entry: AttemptEntry, known: AttemptEntry | undefined): RunEvent[] {
  const { number, environment, partial, replay } = entry;
  const events: RunEvent[] = [];
  if (environment !== undefined && known?.environment === undefined)
    events.push(...environmentEvent(number, environment));
  if (partial !== undefined && known?.partial === undefined) events.push(partialEvent(number, partial));
  if (replay !== undefined && isFinal(replay) && !isFinal(known?.replay)) events.push(replayEvent(number, replay));
  return events;
}

/** Where the policy is Ignore the ledger alone says it. */
function environmentEvent(attempt: number, { policy, total, differences }: EnvironmentVerdict): RunEvent[] {
  if (total === 0 || policy === "Ignore") return [];
  const named = differences
    .slice(0, maxNamed)
    .map(({ member, before, now }) => `${member} was ${before ?? "not recorded"} and is ${now ?? "unknown"}`);
  const more = total > named.length ? `; and ${total - named.length} more` : "";
  const message = `Attempt ${attempt} resumed in another environment than the one that saved its checkpoint: ${named.join("; ")}${more}.`;
  return [{ type: "Warning", reason: "EnvironmentDiffers", message }];
}

function partialEvent(attempt: number, partial: PartialLoad): RunEvent {
  const { loaded, skipped, missing, unexpected, reshaped, optimizerTensors } = partial;
  const named = [...missing, ...unexpected, ...reshaped].slice(0, maxNamed);
  const more = skipped > named.length ? `, and ${skipped - named.length} more` : "";
  const which = named.length === 0 ? "" : `: ${named.join(", ")}${more}`;
  const message = `Attempt ${attempt} loaded ${loaded} weights of its checkpoint and skipped ${skipped}, with ${optimizerTensors} tensors of the optimizer, as resume.partial allows${which}.`;
  return { type: "Warning", reason: "PartiallyLoaded", message };
}

/** Nothing will be compared any more, or nothing that follows can take the difference back. */
function isFinal(replay: ReplayVerdict | undefined): boolean {
  return replay !== undefined && (replay.compared === replay.recorded || replay.result === "Differs");
}

function replayEvent(attempt: number, replay: ReplayVerdict): RunEvent {
  const { result, asked, recorded, compared, unreadable, firstDifference, largestDifference, tolerance } = replay;
  const steps = `${compared} of ${recorded} recorded steps (${asked} asked for)`;
  const apart = `from step ${firstDifference} on in other bits, with losses apart by up to ${largestDifference} of their size (tolerance ${tolerance})`;
  switch (result) {
    case "NothingRecorded":
      return {
        type: "Normal",
        reason: "ReplayNotRecorded",
        message:
          unreadable === undefined
            ? `Attempt ${attempt} had nothing to compare: none of the ${asked} steps after its checkpoint is on record.`
            : `Attempt ${attempt} had nothing to compare: the record of the ${asked} steps after its checkpoint cannot be read: ${unreadable}.`,
      };
    case "Pending":
      return { type: "Normal", reason: "ReplayPending", message: `Attempt ${attempt} has compared ${steps} so far.` };
    case "BitExact":
      return {
        type: "Normal",
        reason: "ReplayBitExact",
        message: `Attempt ${attempt} computed ${steps} again, to the same bits.`,
      };
    case "WithinTolerance":
      return {
        type: "Normal",
        reason: "ReplayWithinTolerance",
        message: `Attempt ${attempt} computed ${steps} again: ${apart}.`,
      };
    case "Differs":
      return {
        type: "Warning",
        reason: "ReplayDiffers",
        message: `Attempt ${attempt} did not repeat what was recorded: ${steps} computed again, ${apart}. Look for random numbers, data order or an environment that the checkpoint does not restore.`,
      };
    default:
      return result satisfies never;
  }
}
