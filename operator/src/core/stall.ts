import type { StallState } from "@trainingrun/checkpoint/contract/agent-state.ts";
import type { Observed } from "./observed.ts";
import { runningStates } from "./running-states.ts";
import type { Survey } from "./survey.ts";

/**
 * What an agent of the open attempt says of a trainer that does no step any more; null where none says so. The agent
 * judges by the time that its attempt began with, but a run that watches for stalls no more is not stopped by one.
 */
export function stallOf(observed: Observed, scene: Survey): StallState | null {
  if (observed.run.spec.stall === undefined) return null;
  return runningStates(observed, scene).find(({ stall }) => stall !== undefined)?.stall ?? null;
}

/** A stall for the ledger: what did not come, and where to read on. */
export function describeStall({ step, seconds, expects, dump }: StallState): { reason: string; message: string } {
  const told = dump === null ? "" : " The attempt's dump says what its process was doing.";
  const time = `${Math.floor(seconds)} s`;
  if (expects === "End") {
    const message = `The training did not come to its end in ${time} after its last step, ${step}, by spec.stall: its last evaluation or its final save hangs. Raise spec.stall.timeoutSeconds if it only takes long.${told}`;
    return { reason: "NoEnd", message };
  }
  return { reason: "NoStep", message: `No step was done after step ${step} for ${time}, by spec.stall.${told}` };
}
