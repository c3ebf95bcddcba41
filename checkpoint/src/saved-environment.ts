import { environmentFile } from "./environment-lock.ts";
import type { LoadedCheckpoint } from "./load.ts";
import { StrictJsonError } from "./strict-json.ts";

/**
 * The environment that a checkpoint was saved in; undefined where it holds none, or one that is no JSON: nothing is on
 * record then, and a resume does not fail of it. Throws `BytesDifferError` where its bytes are not the manifest's.
 */
export async function savedEnvironment({ manifest, json }: LoadedCheckpoint): Promise<unknown> {
  if (!manifest.files.some(({ path }) => path === environmentFile)) return undefined;
  try {
    return await json(environmentFile);
  } catch (error) {
    // The decoder's error is a TypeError.
    if (error instanceof StrictJsonError || error instanceof TypeError) return undefined;
    throw error;
  }
}
