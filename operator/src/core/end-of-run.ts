import type { AttemptEntry, TrainingRunStatus } from "../api/status.ts";
import type { TrainingRun } from "../api/training-run.ts";
import { freshBudget, spentBy } from "./budget.ts";
import { stuckStep } from "./suspect.ts";

/** Why no other attempt may follow the newest one, which has ended and is charged; null where one may. */
export function endOfRun(run: TrainingRun, status: TrainingRunStatus): { reason: string; message: string } | null {
  const [entry] = status.attempts ?? [];
  if (entry?.endTime === undefined) return null;
  const { cause = "Crashed", charge = "Nothing" } = entry;
  const what = whatEnded(entry);
  const words = entry.message === undefined ? "" : ` Last words: ${entry.message}`;
  if (charge === "Terminal") return { reason: cause, message: `${what}${words}` };
  const stuck = stuckStep(status);
  if (stuck !== null) {
    return {
      reason: cause,
      message: `${what} It ends there from an older checkpoint as well, so the program or its data is at fault at step ${stuck}.${words}`,
    };
  }
  const spent = spentBy(charge, status.retry ?? freshBudget(run.spec.retry), run.spec.retry);
  if (spent === "Failures") {
    return {
      reason: cause,
      message: `${what} That was one more failure than spec.retry.failures (${run.spec.retry.failures}) without a newly verified checkpoint.${words}`,
    };
  }
  if (spent === "Disruptions") {
    return {
      reason: "TooManyDisruptions",
      message: `${what} That was one more disruption than spec.retry.disruptions (${run.spec.retry.disruptions}) allows.`,
    };
  }
  return null;
}

function whatEnded({ number, lastStep, cause, exitCode }: AttemptEntry): string {
  const at = lastStep === undefined ? "" : ` at step ${lastStep}`;
  const exit = exitCode === undefined ? "" : ` (exit code ${exitCode})`;
  return `Attempt ${number} ended${at}: ${cause}${exit}.`;
}
