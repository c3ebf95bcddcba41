import type { DeleteEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import type { RemovalRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { ObjectStoreError } from "@trainingrun/checkpoint/store/object/object-store-error.ts";
import { exitCodes } from "./exit-codes.ts";
import { removeObjects } from "./stores.ts";
import { TerminationLog } from "./termination-log.ts";

/**
 * `agent delete`, in a pod of its own: removes all objects of a run that was deleted together with its data. It may be
 * repeated, and may be killed at any instant: the log goes last, and what is gone is not missed.
 */
export async function deleteCommand(environment: DeleteEnvironment, stop: AbortSignal): Promise<number> {
  const { TRAININGRUN_TERMINATION_LOG: path, TRAININGRUN_NAMESPACE: namespace, TRAININGRUN_NAME: name } = environment;
  const started = performance.now();
  const record = await removeObjects(environment, stop).then(
    (): RemovalRecord => ({ kind: "deleted", seconds: (performance.now() - started) / 1000 }),
    failureOf,
  );
  new TerminationLog(path).writeText(JSON.stringify(record));
  if (record.kind === "deleted") {
    console.log(`Removed all objects of run ${namespace}/${name} in ${record.seconds.toFixed(3)} s.`);
    return exitCodes.served;
  }
  console.error(`The objects of run ${namespace}/${name} were not all removed: ${record.message}`);
  return record.reason === "Stopped" ? exitCodes.stopped : exitCodes.deleteFailed;
}

function failureOf(error: unknown): RemovalRecord {
  // Anything else is a defect, which the program tells as one.
  if (!(error instanceof ObjectStoreError)) throw error;
  return { kind: "delete-failed", reason: error.problem, message: error.message.slice(0, 1024) };
}
