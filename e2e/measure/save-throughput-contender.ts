/**
 * One contender of the throughput measurements: `save-throughput-contender.ts NAME DIRECTORY BYTES`. Prepares what it
 * needs, does its work once, and prints `{seconds, cpuSeconds, peakBytes, deviceBytes}` as its last line. What it saves is a state of
 * float32 tensors of 32 MiB.
 */
import { constants } from "node:fs";
import { mkdir, open, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { getBuiltinModule } from "node:process";
import { hold, LentBuffers } from "@trainingrun/checkpoint/buffer-pool.ts";
import { nothingExpected } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { createHasher } from "@trainingrun/checkpoint/hash.ts";
import { healthy } from "@trainingrun/checkpoint/health.ts";
import { loadCheckpoint } from "@trainingrun/checkpoint/load.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { parseManifest } from "@trainingrun/checkpoint/manifest.ts";
import { restoreRun } from "@trainingrun/checkpoint/restore.ts";
import { tensorsFile } from "@trainingrun/checkpoint/safetensors/write.ts";
import { saveCheckpoint } from "@trainingrun/checkpoint/save.ts";
import { openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { throughputRun } from "./save-throughput-run.ts";
import { type MemoryTensor, trainerSave } from "./save-throughput-trainer.ts";

const tensorBytes = 32 * 1024 * 1024;
const pieceBytes = 8 * 1024 * 1024;

type Job = Readonly<{ directory: string; bytes: number; timed: <T>(work: () => Promise<T>) => Promise<T> }>;

const jobs: Readonly<Record<string, (job: Job) => Promise<unknown>>> = {
  "save-ours": saveByTrainer,
  "save-library": saveByLibrary,
  "save-device": (job) => writePlainly(job, constants.O_DIRECT),
  "save-buffered": (job) => writePlainly(job, 0),
  "save-tfjs": saveTensorFlow,
  "read-plain": (job) => readPlainly(job, { flags: 0, inFlight: 1 }),
  "read-device": (job) => readPlainly(job, { flags: constants.O_DIRECT, inFlight: 3 }),
  "read-restore": restoreOurs,
  "read-load": loadOurs,
  hash: hashOnly,
};

/** Tensors that no two of are equal, in memory that was written to. */
function state(bytes: number): MemoryTensor[] {
  const base = new Float32Array(tensorBytes / 4).map((_, at) => (at * 0.618) % 1);
  return Array.from({ length: bytes / tensorBytes }, (_, index) => {
    const values = base.slice();
    values[0] = index;
    const name = `layer${String(index).padStart(3, "0")}/kernel`;
    return { name, dtype: "F32", shape: [values.length], bytes: new Uint8Array(values.buffer) };
  });
}

/** What a trainer does at a stop. It saves again and again: the first save compiles the code and takes the buffers. */
async function saveByTrainer({ directory, bytes, timed }: Job): Promise<void> {
  const place = throughputRun(directory);
  await mkdir(place.root, { recursive: true });
  const trainer = await trainerSave(place);
  const tensors = state(bytes);
  await trainer.save(1, tensors.slice(0, 2));
  await timed(() => trainer.save(2, tensors));
  await trainer.close();
}

/** The checkpoint library alone, of memory that is ready. */
async function saveByLibrary({ directory, bytes, timed }: Job): Promise<void> {
  const { root, runUid, model } = throughputRun(directory);
  await mkdir(root, { recursive: true });
  const store = await openDirectoryStore(root, { runUid });
  const who = { runUid, attempt: 1, podUid: "pod-1", node: "here", generation: 1 };
  await restoreRun(store, { ...who, expected: nothingExpected });
  const save = (step: number, tensors: MemoryTensor[]) =>
    saveCheckpoint(store, {
      runUid,
      attempt: 1,
      step,
      parent: null,
      files: [tensorsFile(model, tensors)],
      metrics: [],
      health: healthy,
      producer: { name: "measure", version: "1" },
    });
  const tensors = state(bytes);
  // A trainer saves again and again: the first save compiles the code and takes the buffers.
  await save(1, tensors.slice(0, 2));
  await timed(() => save(2, tensors));
}

/** Several pieces on their way at once, from memory that is warm; nothing is copied, hashed or named. */
async function writePlainly({ directory, bytes, timed }: Job, flags: number): Promise<void> {
  await using buffers = new LentBuffers(4);
  await warm(buffers, 4);
  await timed(async () => {
    const handle = await open(
      join(directory, "plain"),
      flags | constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL,
    );
    const inFlight: Promise<unknown>[] = [];
    for (let at = 0; at < bytes; at += pieceBytes) {
      const buffer = await buffers.next();
      const release = hold(buffer);
      inFlight.push(handle.write(buffer, 0, pieceBytes, at).finally(() => release?.()));
    }
    await Promise.all(inFlight);
    await handle.sync();
    await handle.close();
  });
}

/** All of the buffers, written to once and given back. */
async function warm(buffers: LentBuffers, count: number): Promise<void> {
  const releases: ReturnType<typeof hold>[] = [];
  for (let taken = 0; taken < count; taken += 1) {
    const buffer = await buffers.next();
    releases.push(hold(buffer));
    buffer.fill(1);
  }
  for (const release of releases) release?.();
}

/** TensorFlow.js's own way to save a model, and an fsync of what it wrote, for it does none. */
async function saveTensorFlow({ directory, bytes, timed }: Job): Promise<void> {
  // tfjs-node uses two functions that Node has removed since.
  Object.assign(getBuiltinModule("node:util"), {
    isNullOrUndefined: (value: unknown) => value === null || value === undefined,
    isArray: Array.isArray,
  });
  const tf = createRequire(import.meta.url)("@tensorflow/tfjs-node") as typeof import("@tensorflow/tfjs");
  const width = tensorBytes / 4 / 1024;
  const layers = Array.from({ length: bytes / tensorBytes }, (_, index) =>
    tf.layers.dense({
      units: 1024,
      useBias: false,
      kernelInitializer: "glorotUniform",
      name: `layer${index}`,
      inputShape: [width],
    }),
  );
  const input = tf.input({ shape: [width] });
  const model = tf.model({
    inputs: input,
    outputs: layers.map((layer) => layer.apply(input) as ReturnType<typeof tf.input>),
  });
  // As for the others: its code is compiled by a save of something small.
  await tf
    .sequential({ layers: [tf.layers.dense({ units: 8, inputShape: [8] })] })
    .save(`file://${join(directory, "first")}`);
  await timed(async () => {
    await model.save(`file://${join(directory, "tfjs")}`);
    for (const name of ["weights.bin", "model.json"]) {
      const handle = await open(join(directory, "tfjs", name), "r+");
      await handle.sync();
      await handle.close();
    }
  });
}

/** What `cat` does, into memory that is used again; or the device's ceiling. */
async function readPlainly({ directory, timed }: Job, { flags, inFlight }: { flags: number; inFlight: number }) {
  const path = join(await newest(directory), throughputRun(directory).model);
  await using buffers = new LentBuffers(inFlight);
  await timed(async () => {
    const handle = await open(path, flags | constants.O_RDONLY);
    const { size } = await handle.stat();
    const reads: Promise<unknown>[] = [];
    for (let at = 0; at < size; at += pieceBytes) {
      const buffer = await buffers.next();
      const release = hold(buffer);
      reads.push(handle.read(buffer, 0, pieceBytes, at).finally(() => release?.()));
    }
    await Promise.all(reads);
    await handle.close();
  });
}

/** A pod's restore: every byte verified, then the checkpoint handed over by name and the log opened. */
async function restoreOurs({ directory, timed }: Job): Promise<void> {
  const { root, runUid } = throughputRun(directory);
  const store = await openDirectoryStore(root, { runUid });
  // Each round is an attempt of its own.
  const attempt = ((await readLog(store)).state.fence?.attempt ?? 0) + 1;
  const who = { runUid, attempt, podUid: `pod-${attempt}`, node: "here", generation: 1 };
  const outcome = await timed(() => restoreRun(store, { ...who, expected: nothingExpected }));
  if (outcome.kind === "failed") throw new Error(outcome.message);
}

/** What the trainer does then: every tensor matched once more on its way into memory of its own. */
async function loadOurs({ directory, timed }: Job): Promise<void> {
  const path = await newest(directory);
  const { digest } = parseManifest(await readFile(join(path, "MANIFEST.json")));
  await timed(async () => {
    const loaded = await loadCheckpoint(path, { digest });
    await loaded.tensors(throughputRun(directory).model);
  });
}

/** The hash alone, over memory. */
async function hashOnly({ bytes, timed }: Job): Promise<void> {
  const memory = new Uint8Array(64 * pieceBytes).map((_, index) => index * 31);
  await timed(async () => {
    for (let at = 0; at < bytes; at += pieceBytes) {
      const hasher = createHasher();
      hasher.update(memory.subarray(at % memory.byteLength, (at % memory.byteLength) + pieceBytes));
      hasher.digest();
    }
  });
}

async function newest(directory: string): Promise<string> {
  const { root } = throughputRun(directory);
  return join(root, "data", "step-000000000002-a0001");
}

async function main([name = "", directory = "", bytes = ""]: readonly string[]): Promise<void> {
  const job = jobs[name];
  if (job === undefined)
    throw new Error(`Cannot run ${name} because only these are known: ${Object.keys(jobs).join(", ")}`);
  const spent: { seconds: number; cpuSeconds: number; deviceBytes: number }[] = [];
  await job({
    directory,
    bytes: Number(bytes),
    timed: async (work) => {
      const read = await bytesFromDevice();
      const [began, cpu] = [performance.now(), process.cpuUsage()];
      const result = await work();
      const seconds = (performance.now() - began) / 1000;
      const { user, system } = process.cpuUsage(cpu);
      spent.push({ seconds, cpuSeconds: (user + system) / 1e6, deviceBytes: (await bytesFromDevice()) - read });
      return result;
    },
  });
  console.log(JSON.stringify({ ...spent[0], peakBytes: process.resourceUsage().maxRSS * 1024 }));
}

/** What this process has read from a device so far, see proc_pid_io(5): what the page cache had is not in it. */
async function bytesFromDevice(): Promise<number> {
  return Number(/^read_bytes: (\d+)$/m.exec(await readFile("/proc/self/io", "utf8"))?.[1]);
}

await main(process.argv.slice(2));
