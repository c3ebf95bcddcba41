import { lstat, readdir, statfs } from "node:fs/promises";
import { join } from "node:path";
import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";

/** A kubelet evicts pods before the file system of its node is full: unless told otherwise, at 10 or 15 % of it. */
const evictionShare = 0.15;

/** Bytes that checkpoints may still take on the volume, with what a save in flight has written and what is being removed. */
export async function availableBytes(environment: AgentEnvironment): Promise<number> {
  const { TRAININGRUN_CHECKPOINTS: volume, TRAININGRUN_VOLUME: durability } = environment;
  const { bsize, blocks, bavail } = await statfs(volume);
  const reserved = durability === "Ephemeral" ? blocks * evictionShare : 0;
  return Math.max(0, Math.floor(bsize * (bavail - reserved))) + (await passingBytes(join(volume, "data")));
}

/** What a save in flight has written, which will be a checkpoint or nothing, and what is being removed. */
async function passingBytes(data: string): Promise<number> {
  let bytes = 0;
  for (const name of (await readdir(data)).filter((one) => /^\.(saving|trash)-/.test(one))) {
    for (const path of await readdir(join(data, name), { recursive: true }).catch(() => [])) {
      const found = await lstat(join(data, name, path)).catch(() => null);
      if (found?.isFile()) bytes += found.size;
    }
  }
  return bytes;
}

/** Sizes in round numbers: they change with every byte that anyone writes there, and the words should not. */
export function roundedBytes(bytes: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, bytes)) / 3)));
  return `${Number((bytes / 1000 ** power).toPrecision(2))} ${units[power]}`;
}
