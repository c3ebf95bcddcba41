import type { TrainingRun } from "../api/training-run.ts";
import { shellCommand } from "./shell-command.ts";
import { type Obstacle, unsupportedField } from "./supported.ts";

/** Why no attempt may begin with the spec as it is; null where one may. */
export function refusedSpec(run: TrainingRun): Obstacle | null {
  return unsupportedField(run) ?? shellCommand(run);
}
