import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, statfs } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { run } from "../cluster/processes/command.ts";
import type { Goal, Measurement, Result } from "./result.ts";
import { pythons } from "./save-throughput-python.ts";
import { type Contender, interleaved, type Row, ratio } from "./save-throughput-rounds.ts";

const mebibyte = 1024 * 1024;
const sizes = [
  { name: "512MiB", bytes: 512 * mebibyte, rounds: 5 },
  { name: "4GiB", bytes: 4096 * mebibyte, rounds: 3 },
] as const;

/**
 * Saves the same state in every way, one after the other, in fresh processes and fresh files on one file system, each time
 * until it is durable. Ours, the way a trainer saves at a stop, copies, scans for NaN, hashes, writes a manifest and
 * commits; the others do none of that.
 */
export const saveThroughput: Measurement = {
  name: "save-throughput",
  what: "saves of 512 MiB and 4 GiB against the device, a plain write, TensorFlow.js, safetensors and torch.save",
  seconds: 420,
  limitMs: 60 * 60_000,
  run: async (signal) => {
    const parent = await mkdtemp(join(tmpdir(), "trainingrun-save-throughput-"));
    try {
      const bySize: Record<string, Row[]> = {};
      for (const { name, bytes, rounds } of sizes) {
        console.log(`  ${name}, ${rounds} rounds`);
        const directory = join(parent, "round");
        const contenders = await contendersOf({ directory, bytes, signal });
        const before = () => freshDirectory(directory, signal);
        bySize[name] = await interleaved(contenders, { bytes, rounds, before, signal });
      }
      return saveThroughputResult(bySize, await fileSystemOf(parent));
    } finally {
      await rm(parent, { recursive: true, force: true });
    }
  },
};

type Place = Readonly<{ directory: string; bytes: number; signal: AbortSignal }>;

async function contendersOf({ directory, bytes, signal }: Place): Promise<Contender[]> {
  const ours = join(import.meta.dirname, "save-throughput-contender.ts");
  const theirs = join(import.meta.dirname, "save-throughput-contender.py");
  const node = (name: string): Contender => ({ name, command: [process.execPath, ours, name, directory, `${bytes}`] });
  const { plain, torch } = await pythons(signal);
  const python = (name: string, found: typeof plain): Contender =>
    "missing" in found
      ? { name, command: [], skipped: found.missing }
      : { name, command: [found.program, theirs, name, directory, `${bytes}`] };
  const native = hasNativeTensorFlow()
    ? {}
    : { skipped: "native TensorFlow is not built: node trainer/native/build.ts" };
  return [
    node("save-ours"),
    node("save-library"),
    node("save-device"),
    node("save-buffered"),
    { ...node("save-tfjs"), ...native },
    python("safetensors-numpy", plain),
    python("safetensors-torch", torch),
    python("torch-save", torch),
  ];
}

/** What the measured saves come to. */
export function saveThroughputResult(bySize: Readonly<Record<string, readonly Row[]>>, fileSystem: string): Result {
  const goals: Record<string, Goal> = {};
  const ratios: Record<string, Record<string, number>> = {};
  for (const [size, rows] of Object.entries(bySize)) {
    const against = (other: string) => ratio(rows, "save-ours", other);
    const safetensors = Math.min(against("safetensors-numpy"), against("safetensors-torch"));
    const [device, torchSave] = [against("save-device"), against("torch-save")];
    const library = ratio(rows, "save-library", "save-device");
    ratios[size] = {
      device,
      library,
      buffered: against("save-buffered"),
      tfjs: against("save-tfjs"),
      safetensors,
      torchSave,
    };
    goals[`device ${size}`] = goal("0.85 of the device's own ceiling", device, 0.85);
    goals[`safetensors ${size}`] = goal("1.3 times the faster safetensors", safetensors, 1.3);
    goals[`torchSave ${size}`] = goal("2.5 times torch.save", torchSave, 2.5);
  }
  return { name: "save-throughput", figures: { ratios, fileSystem, ...bySize }, goals };
}

/** A goal for a ratio of medians; one that is unknown is not met. */
export function goal(words: string, value: number | undefined, least: number): Goal {
  return { goal: `at least ${words}`, met: value !== undefined && value >= least };
}

/** An empty directory, and nothing of anybody's on its way to the disk. */
async function freshDirectory(directory: string, signal: AbortSignal): Promise<void> {
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory);
  await run("sync", ["-f", directory], { signal, timeoutMs: 5 * 60_000 });
}

/** The file system's magic number, see statfs(2): 0xef53 is ext4, 0x58465342 XFS. */
export async function fileSystemOf(path: string): Promise<string> {
  return `0x${(await statfs(path)).type.toString(16)}`;
}

function hasNativeTensorFlow(): boolean {
  const require = createRequire(import.meta.url);
  return existsSync(
    join(dirname(require.resolve("@tensorflow/tfjs-node/package.json")), "lib/napi-v8/tfjs_binding.node"),
  );
}
