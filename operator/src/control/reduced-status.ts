import type { Condition } from "../api/conditions.ts";
import type { AttemptEntry, Stop, TrainingRunStatus } from "../api/status.ts";
import { mergePatchOf } from "../kubernetes/merge-patch.ts";

/** Fields that show and remember, and that nothing is counted by: they may stay as they are stored. */
const mirrored = ["state", "progress", "interval", "best", "checkpoints", "refused"] as const;
/** Fields that decide what happens next, with words among them that decide nothing. */
const worded = ["latestVerified", "attempts", "stop", "conditions"] as const;

/** The fields of a status that have a smaller form. The others are small already: numbers, digests, times and a choice. */
export const reducibleFields: readonly string[] = [...mirrored, ...worded];

/** The causes of the ledger, which a CRD older than this program may not know. Left out only where they are named. */
export const causeField = "attempts.cause";

/**
 * The decided status with some fields made small: what is only mirrored keeps its stored value, and what control
 * rests on loses its words, never its numbers. So every attempt stays numbered and counted (I8, I9).
 */
export function reducedStatus(
  stored: TrainingRunStatus,
  decided: TrainingRunStatus,
  fields: readonly string[],
): TrainingRunStatus {
  const isNamed = (field: string) => fields.includes(field);
  const bare = (entry: AttemptEntry) => bareEntry(entry, stored.attempts ?? [], isNamed(causeField));
  return {
    ...decided,
    ...Object.fromEntries(mirrored.filter(isNamed).map((field) => [field, stored[field]])),
    ...(isNamed("latestVerified") ? { latestVerified: unmeasured(decided.latestVerified, stored) } : {}),
    ...(isNamed("attempts") ? { attempts: decided.attempts?.map(bare) } : {}),
    ...(isNamed("stop") ? { stop: decided.stop && bareStop(decided.stop) } : {}),
    ...(isNamed("conditions") ? { conditions: decided.conditions?.map((each) => plain(each, stored)) } : {}),
  };
}

/** By what was verified a lost volume is told from a first start (I10). What was measured there is the trainer's word. */
function unmeasured(
  newest: TrainingRunStatus["latestVerified"],
  { latestVerified: known }: TrainingRunStatus,
): TrainingRunStatus["latestVerified"] {
  if (newest === undefined) return undefined;
  if (newest.digest === known?.digest) return known;
  const { epoch: _, ...summary } = newest;
  return { ...summary, metrics: [] };
}

/** An entry that changed, without what only explains it. What is counted by later on stays, such as lost steps. */
function bareEntry(entry: AttemptEntry, stored: readonly AttemptEntry[], isCauseRefused: boolean): AttemptEntry {
  const known = stored.find(({ number }) => number === entry.number);
  if (known !== undefined && mergePatchOf(known, entry) === undefined) return known;
  const { reason: _reason, message: _message, exitCode: _exitCode, ...unexplained } = entry;
  const { finalCheckpoint: _final, graceUsedSeconds: _grace, recoverySeconds: _recovery, ...bare } = unexplained;
  const { environment: _environment, partial: _partial, replay: _replay, dump: _dump, ...counted } = bare;
  const { cause: _cause, ...uncaused } = counted;
  return isCauseRefused ? uncaused : counted;
}

function bareStop({ reason: _reason, message: _message, exitCode: _exitCode, ...counted }: Stop): Stop {
  return counted;
}

/** A condition keeps its stored words for as long as it says the same; a run is Complete or Failed by one, so its turns are written. */
function plain(condition: Condition, { conditions }: TrainingRunStatus): Condition {
  const known = conditions?.find(({ type }) => type === condition.type);
  if (known?.status === condition.status) return known;
  return {
    ...condition,
    reason: "StatusRefused",
    message: "The API server refused the words of this condition; an event of the run says why.",
  };
}
