import { BytesDifferError } from "@trainingrun/checkpoint/chunked-reader.ts";
import { type LoadedCheckpoint, loadCheckpoint } from "@trainingrun/checkpoint/load.ts";
import type { Manifest } from "@trainingrun/checkpoint/manifest.ts";
import { savedEnvironment } from "@trainingrun/checkpoint/saved-environment.ts";
import { z } from "zod";
import { IncompatibleError, type LoadedTensors } from "./learner.ts";
import type { StartingPoint } from "./starting-point.ts";
import { optimizerFile, stateFile, TrainingState, weightsFile } from "./training-state.ts";

/** All of a checkpoint that training needs, in memory. */
export type LoadedState = {
  readonly manifest: Manifest;
  readonly state: TrainingState;
  readonly weights: LoadedTensors;
  readonly optimizerTensors: LoadedTensors;
  /** What `environment.json` holds; undefined where no environment is recorded. */
  readonly environment: unknown;
};

/** Bytes on their way into the model are not those that were verified: the attempt must not train. */
export class DamagedCheckpointError extends Error {
  override name = "DamagedCheckpointError";
}

/**
 * Loads what the restore has chosen. The very bytes that the model gets are hashed again here: between the restore's
 * reading and this one a disk or a page cache can still fail (I2). Rejects with the signal's reason on a stop.
 */
export async function loadState(
  { directory, digest }: NonNullable<StartingPoint["resume"]>,
  options: { signal?: AbortSignal } = {},
): Promise<LoadedState> {
  try {
    const checkpoint = await loadCheckpoint(directory, { digest, ...options });
    requireOurFiles(checkpoint);
    const [weights, optimizer, state] = [
      await checkpoint.tensors(weightsFile),
      await checkpoint.tensors(optimizerFile),
      await checkpoint.json(stateFile),
    ];
    const { manifest } = checkpoint;
    return {
      manifest,
      state: parseState(state),
      weights: weights.tensors,
      optimizerTensors: optimizer.tensors,
      environment: await savedEnvironment(checkpoint),
    };
  } catch (error) {
    if (!(error instanceof BytesDifferError)) throw error;
    throw new DamagedCheckpointError(
      `Cannot resume because the bytes must still be those that were verified a moment ago (suspect this node's ` +
        `memory or disk): ${error.message}`,
      { cause: error },
    );
  }
}

/** Whole, but another framework's. */
function requireOurFiles({ manifest }: LoadedCheckpoint): void {
  const paths = new Set(manifest.files.map(({ path }) => path));
  const missing = [weightsFile, optimizerFile, stateFile].find((path) => !paths.has(path));
  if (missing === undefined) return;
  throw new IncompatibleError(
    `Cannot resume because a checkpoint of this trainer holds ${missing}: step ${manifest.step} was written by ` +
      `${manifest.producer.name} ${manifest.producer.version} and holds none.`,
  );
}

function parseState(value: unknown): TrainingState {
  const parsed = TrainingState.safeParse(value);
  if (parsed.success) return parsed.data;
  const seen = z.prettifyError(parsed.error).replaceAll("\n", " ");
  throw new IncompatibleError(`Cannot resume because ${stateFile} must be of version 1: ${seen}`);
}
