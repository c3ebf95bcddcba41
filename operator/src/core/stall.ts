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
