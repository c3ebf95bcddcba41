import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import type { Manifest } from "@trainingrun/checkpoint/manifest.ts";

/** Why the workers of a gang cannot save together, or null where they can, or there is but one. */
export function unsharedVolume({
  TRAININGRUN_WORKERS: workers,
  TRAININGRUN_VOLUME: volume,
}: AgentEnvironment): string | null {
  if (workers === 1 || volume !== "Ephemeral") return null;
  return (
    `Cannot restore because ${workers} workers save into one volume, and that of each pod ends with it: ` +
    "name a claim that all of them can mount (checkpoint.volume, access mode ReadWriteMany)"
  );
}

/** Why this attempt cannot take up that checkpoint: each worker of a gang resumes from its own shard. Null where it can. */
export function otherGangSize(
  { TRAININGRUN_WORKERS: workers }: AgentEnvironment,
  { step, workers: saved = 1 }: Pick<Manifest, "step" | "workers">,
): string | null {
  if (saved === workers) return null;
  return (
    `Cannot resume from step ${step} because as many workers take up a checkpoint as saved it: ` +
    `${counted(saved)} saved it, and this attempt has ${counted(workers)}; set spec.workers to ${saved}, or begin another run`
  );
}

function counted(workers: number): string {
  return workers === 1 ? "1 worker" : `${workers} workers`;
}
