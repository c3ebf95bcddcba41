import { BytesDifferError } from "@trainingrun/checkpoint/chunked-reader.ts";
import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { compareKnown, describeDifferences } from "@trainingrun/checkpoint/environment-lock.ts";
import type { LoadedCheckpoint } from "@trainingrun/checkpoint/load.ts";
import { savedEnvironment } from "@trainingrun/checkpoint/saved-environment.ts";

/** Named in a verdict, which fits into a termination record. */
const limits = { named: 4, length: 96 };

/**
 * Compares what the agent knows of the trainer's environment (its image, and the node's kind) with the one that saved
 * the checkpoint, before the trainer starts; each worker of a gang with what saved its own shard. The rest only the
 * trainer knows, which compares all of it once more and reports it. Returns why the attempt must not begin, or null where
 * it may.
 */
export async function environmentRefusal(
  environment: AgentEnvironment,
  loaded: LoadedCheckpoint,
): Promise<string | null> {
  const policy = environment.TRAININGRUN_EXPECTED.environmentMismatch;
  if (policy === "Ignore") return null;
  const saved = await environmentOf(loaded, environment.TRAININGRUN_WORKER);
  if (saved === undefined) return null;
  const differences = compareKnown(saved, knownFacts(environment));
  if (differences.length === 0) return null;
  const seen = describeDifferences(differences, limits);
  if (policy === "Block") {
    return (
      `Cannot resume from step ${loaded.manifest.step} because the environment must be the one that saved it ` +
      `(resume.environmentMismatch is Block): ${seen}`
    );
  }
  console.warn(`The environment is not the one that saved the checkpoint of step ${loaded.manifest.step}: ${seen}`);
  return null;
}

/** By the names that they have in `environment.json`. */
function knownFacts({ TRAININGRUN_IMAGE: image }: AgentEnvironment): Record<string, string> {
  return { ...(image === undefined ? {} : { image }), "runtime.platform": `${process.platform}-${process.arch}` };
}

/** Undefined where the checkpoint, such as a foreign framework's, records none, or where its bytes are for the trainer to judge. */
async function environmentOf(loaded: LoadedCheckpoint, worker: number): Promise<unknown> {
  try {
    return await savedEnvironment(loaded, worker);
  } catch (error) {
    if (!(error instanceof BytesDifferError)) throw error;
    console.warn(`The environment of the checkpoint is left to the trainer, which matches its bytes: ${error.message}`);
    return undefined;
  }
}
