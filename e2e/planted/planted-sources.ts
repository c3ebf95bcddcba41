import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { applyPatch } from "./apply-patch.ts";

/** The root of the tree. */
export const root = join(import.meta.dirname, "../..");

/** Names the variable that says which mistake a process has in its code; a file name of {@link patchDirectory}. */
export const plantedVariable = "TRAININGRUN_PLANTED";

/** Where the patches are. */
export const patchDirectory = join(import.meta.dirname, "patches");

/** What a Node has to find in its environment to load the code with a mistake in it. */
export function plantedEnvironment(patch: string): Readonly<Record<string, string>> {
  const hook = pathToFileURL(join(import.meta.dirname, "plant-hook.ts"));
  return { [plantedVariable]: patch, NODE_OPTIONS: `--import=${hook}` };
}

/** The sources that a mistake changes, by absolute path, with the mistake in them. Nothing on the disk is changed. */
export function plantedSources(patch: string): ReadonlyMap<string, string> {
  const text = readFileSync(join(patchDirectory, patch), "utf8");
  const patched = applyPatch(text, (path) => readFileSync(join(root, path), "utf8"));
  return new Map([...patched].map(([path, source]) => [join(root, path), source]));
}
