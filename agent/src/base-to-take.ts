import { BytesDifferError } from "@trainingrun/checkpoint/chunked-reader.ts";
import type { Restored } from "@trainingrun/checkpoint/contract/restored.ts";
import { type LoadedCheckpoint, loadCheckpoint } from "@trainingrun/checkpoint/load.ts";

/** The checkpoint that a restore hands over, to ask who saved it, and in what; null where its bytes are for the trainer to judge. */
export async function loadBase({
  directory,
  digest,
}: NonNullable<Restored["resume"]>): Promise<LoadedCheckpoint | null> {
  try {
    return await loadCheckpoint(directory, { digest });
  } catch (error) {
    if (!(error instanceof BytesDifferError)) throw error;
    console.warn(
      `Who saved the checkpoint, and in what, is left to the trainer, which matches its bytes: ${error.message}`,
    );
    return null;
  }
}
