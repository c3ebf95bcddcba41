import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { writeAtomically } from "../control-directory.ts";

/** The directory of dumps, beside the run's `data/` on the volume. */
export const dumpsDirectory = "diagnostics";

/** So many newest dumps of a worker stay. */
const keptDumps = 3;

/** Puts the whole of a dump on the volume, where it outlives the pod, and removes older ones; returns its path there. */
export async function keepDump(
  environment: AgentEnvironment,
  { step, text }: { step: number; text: string },
): Promise<string> {
  const { TRAININGRUN_CHECKPOINTS: run, TRAININGRUN_ATTEMPT: attempt, TRAININGRUN_WORKER: worker } = environment;
  const directory = join(run, dumpsDirectory);
  const path = join(directory, `attempt-${attempt}-worker-${worker}-step-${step}.txt`);
  await writeAtomically(path, text);
  for (const name of outdated(await readdir(directory), worker)) await rm(join(directory, name), { force: true });
  return path;
}

/** An agent that was killed while it wrote has left a temporary file. */
function outdated(names: readonly string[], worker: number): string[] {
  const own = names.flatMap((name) => {
    const parts = /^attempt-(\d+)-worker-(\d+)-step-(\d+)\.txt(\..*)?$/.exec(name);
    if (parts === null || Number(parts[2]) !== worker) return [];
    return [{ name, attempt: Number(parts[1]), step: Number(parts[3]), isWhole: parts[4] === undefined }];
  });
  const newestFirst = own.toSorted((a, b) => b.attempt - a.attempt || b.step - a.step);
  const kept = newestFirst.filter(({ isWhole }) => isWhole).slice(0, keptDumps);
  return newestFirst.filter((one) => !kept.includes(one)).map(({ name }) => name);
}
