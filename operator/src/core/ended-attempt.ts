import type { Silence, TrainingRunStatus } from "../api/status.ts";
import type { TrainingRun } from "../api/training-run.ts";
import type { EndedAttempt, Member } from "./cause.ts";
import { durabilityOf } from "./pod-environment.ts";

/** The newest attempt as the classifier looks at it. Throws where no attempt was ever numbered. */
export function endedAttempt(run: TrainingRun, status: TrainingRunStatus, members: readonly Member[]): EndedAttempt {
  const [entry, ...earlier] = status.attempts ?? [];
  if (entry === undefined) throw new Error("Cannot name the end of an attempt because none was numbered");
  return {
    number: entry.number,
    members,
    stop: status.stop?.attempt === entry.number ? status.stop : undefined,
    silence: silenceOf(status, entry.number),
    entry,
    earlier,
    rules: run.spec.retry.rules,
    noneVerified: run.spec.resume.noneVerified,
    durability: durabilityOf(run),
  };
}

function silenceOf({ silence, fencedAttempt = 0 }: TrainingRunStatus, attempt: number): Silence | undefined {
  return attempt <= fencedAttempt && silence?.attempt === attempt ? silence : undefined;
}
