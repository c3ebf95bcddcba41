import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { PodEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";

type Who = Pick<PodEnvironment, "TRAININGRUN_WORKER" | "TRAININGRUN_ATTEMPT" | "TRAININGRUN_CHECKPOINTS">;

/**
 * Where the first worker of an attempt is, on nodes that run pods as processes: nobody answers for the name in
 * `MASTER_ADDR` there. The first worker leaves its address on the volume that all of them mount.
 */
export async function addressOfFirst(
  { TRAININGRUN_WORKER: worker, TRAININGRUN_ATTEMPT: attempt, TRAININGRUN_CHECKPOINTS: volume }: Who,
  { own, signal }: Readonly<{ own: string; signal: AbortSignal }>,
): Promise<string> {
  const path = join(volume, `first-worker-of-${attempt}`);
  if (worker === 0) {
    await writeFile(`${path}.new`, own);
    await rename(`${path}.new`, path);
    return own;
  }
  for (;;) {
    const address = await readFile(path, "utf8").catch(() => null);
    if (address !== null) return address;
    await sleep(50, undefined, { signal });
  }
}
