import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import type { Restored } from "@trainingrun/checkpoint/contract/restored.ts";
import { exitCodes } from "./exit-codes.ts";
import { restore } from "./restore.ts";
import { TerminationLog } from "./termination-log.ts";

/** `agent restore`: one restore, as an init container, so that a framework that knows nothing of us finds its place. */
export async function restoreCommand(environment: AgentEnvironment, stop: AbortSignal): Promise<number> {
  const result = await restore(environment, stop, (message) => console.log(message));
  switch (result.kind) {
    case "restored":
      console.log(describe(result.restored));
      return 0;
    case "failed":
      console.error(`The restore failed with ${result.record.failure}: ${result.record.message}`);
      new TerminationLog(environment.TRAININGRUN_TERMINATION_LOG).write(result.record);
      return exitCodes.restoreFailed;
    case "stopped":
      console.error("The restore was told to stop before it had opened the attempt; nothing has changed.");
      return exitCodes.stopped;
    default:
      return result satisfies never;
  }
}

/** One line for the log about what a restore handed over. */
export function describe(restored: Restored): string {
  const took = `${restored.seconds.toFixed(3)} s`;
  const { resume } = restored;
  if (!resume) return `Attempt ${restored.attempt} starts at step 0: the run has no checkpoint yet (${took}).`;
  const refused = restored.refused.length === 0 ? "" : `, after ${restored.refused.length} refused`;
  const tier = resume.tier === "ObjectStore" ? ", downloaded from the object store" : "";
  return `Attempt ${restored.attempt} resumes at step ${resume.step} from ${resume.digest}${tier}${refused} (${took}).`;
}
