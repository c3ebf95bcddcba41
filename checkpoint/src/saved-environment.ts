import { workerName } from "./directory-name.ts";
import { environmentFile } from "./environment-lock.ts";
import type { LoadedCheckpoint } from "./load.ts";
import { StrictJsonError } from "./strict-json.ts";

/**
 * The environment that a checkpoint was saved in, and of a gang's that of one worker's shard; undefined where it holds
 * none, or one that is no JSON: nothing is on record then, and a resume does not fail of it. Throws `BytesDifferError`
 * where its bytes are not the manifest's.
 */
export async function savedEnvironment({ manifest, json }: LoadedCheckpoint, worker = 0): Promise<unknown> {
  const file = manifest.workers === undefined ? environmentFile : `${workerName(worker)}/${environmentFile}`;
  if (!manifest.files.some(({ path }) => path === file)) return undefined;
  try {
    return await json(file);
  } catch (error) {
    // The decoder's error is a TypeError.
    if (error instanceof StrictJsonError || error instanceof TypeError) return undefined;
    throw error;
  }
}
