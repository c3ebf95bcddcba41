import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../cluster/processes/command.ts";
import type { Goal, Measurement, Result } from "./result.ts";
import { fileSystemOf, goal } from "./save-throughput.ts";
import { type Contender, interleaved, type Row, ratio } from "./save-throughput-rounds.ts";

const mebibyte = 1024 * 1024;
const sizes = [
  { name: "512MiB", bytes: 512 * mebibyte, rounds: 5 },
  { name: "4GiB", bytes: 4096 * mebibyte, rounds: 3 },
] as const;

/**
 * Reads one checkpoint in every way with a cold page cache, in fresh processes: as a pod's restore does, which verifies
 * every byte and hands the checkpoint over; as the trainer does then, which matches every byte again and hands the tensors
 * over; plainly; as fast as the device gives them, for which there is no goal. Beside them the hash alone, over memory.
 */
export const restoreThroughput: Measurement = {
  name: "restore-throughput",
  what: "reading, verifying and handing over 512 MiB and 4 GiB against a plain read, with a cold cache",
  seconds: 240,
  limitMs: 40 * 60_000,
  run: async (signal) => {
    const directory = await mkdtemp(join(tmpdir(), "trainingrun-restore-throughput-"));
    try {
      const bySize: Record<string, Row[]> = {};
      for (const { name, bytes, rounds } of sizes) {
        console.log(`  ${name}, ${rounds} rounds`);
        const place = join(directory, name);
        await run(...commandOf(contender("save-ours", place, bytes)), { signal, timeoutMs: 10 * 60_000 });
        const contenders = ["read-restore", "read-load", "read-plain", "read-device", "hash"].map((job) =>
          contender(job, place, bytes),
        );
        bySize[name] = await interleaved(contenders, { bytes, rounds, before: () => emptyCache(signal), signal });
        await rm(place, { recursive: true });
      }
      return restoreThroughputResult(bySize, await fileSystemOf(directory));
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  },
};

/** What the measured reads come to. */
export function restoreThroughputResult(bySize: Readonly<Record<string, readonly Row[]>>, fileSystem: string): Result {
  const goals: Record<string, Goal> = {};
  const ratios: Record<string, Record<string, number>> = {};
  for (const [size, rows] of Object.entries(bySize)) {
    const ours = ["restore", "load"] as const;
    ratios[size] = {};
    for (const one of ours) {
      const [plain, device, hash] = ["read-plain", "read-device", "hash"].map((other) =>
        ratio(rows, `read-${one}`, other),
      );
      Object.assign(ratios[size], { [`${one}/plain`]: plain, [`${one}/device`]: device, [`${one}/hash`]: hash });
      goals[`${one} ${size}`] = goal("0.8 of a plain read", plain, 0.8);
    }
    // Nothing is verified faster than it is read: the hash's own speed is a bound only where a plain read is above it.
    const isHashSlower = !(ratio(rows, "read-plain", "hash") <= 1);
    for (const one of ours) {
      const toHash = ratio(rows, `read-${one}`, "hash");
      goals[`${one} hash ${size}`] = {
        goal: "at least 0.9 of the hash's own speed, where a plain read is faster than the hash",
        met: !isHashSlower || toHash >= 0.9,
      };
    }
    const cold = rows.filter(({ name }) => name.startsWith("read-"));
    goals[`cold ${size}`] = {
      goal: "every byte that is read comes from the device, in every round",
      met:
        cold.length > 0 && cold.every(({ deviceMebibytes, mebibytes }) => (deviceMebibytes ?? 0) >= 0.99 * mebibytes),
    };
  }
  return { name: "restore-throughput", figures: { ratios, fileSystem, ...bySize }, goals };
}

function contender(name: string, directory: string, bytes: number): Contender {
  const program = join(import.meta.dirname, "save-throughput-contender.ts");
  return { name, command: [process.execPath, program, name, directory, `${bytes}`] };
}

function commandOf({ command: [program = "", ...args] }: Contender): [string, string[]] {
  return [program, args];
}

/** Writes everything back and forgets it; only root may, and without it nothing here would read from the disk. */
async function emptyCache(signal: AbortSignal): Promise<void> {
  await run("sync", [], { signal, timeoutMs: 5 * 60_000 });
  await writeFile("/proc/sys/vm/drop_caches", "1\n");
}
