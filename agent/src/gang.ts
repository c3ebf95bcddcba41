import { BytesDifferError } from "@trainingrun/checkpoint/chunked-reader.ts";
import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import type { Restored } from "@trainingrun/checkpoint/contract/restored.ts";
import { loadCheckpoint } from "@trainingrun/checkpoint/load.ts";

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
export async function otherGangSize(
  { TRAININGRUN_WORKERS: workers }: AgentEnvironment,
  { directory, digest, step }: NonNullable<Restored["resume"]>,
): Promise<string | null> {
  const saved = await savedBy(directory, digest);
  if (saved === null || saved === workers) return null;
  return (
    `Cannot resume from step ${step} because as many workers take up a checkpoint as saved it: ` +
    `${counted(saved)} saved it, and this attempt has ${counted(workers)}; set spec.workers to ${saved}, or begin another run`
  );
}

async function savedBy(directory: string, digest: string): Promise<number | null> {
  try {
    return (await loadCheckpoint(directory, { digest })).manifest.workers ?? 1;
  } catch (error) {
    if (!(error instanceof BytesDifferError)) throw error;
    console.warn(
      `How many workers saved the checkpoint is left to the trainer, which matches its bytes: ${error.message}`,
    );
    return null;
  }
}

function counted(workers: number): string {
  return workers === 1 ? "1 worker" : `${workers} workers`;
}
