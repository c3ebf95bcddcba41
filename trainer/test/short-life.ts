import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type * as tfjs from "@tensorflow/tfjs";
import { type Expected, nothingExpected } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { type ReplayVerdict, ResumePolicy, type ResumeReport } from "@trainingrun/checkpoint/contract/resume.ts";
import { jsonFile } from "@trainingrun/checkpoint/file-source.ts";
import { healthy } from "@trainingrun/checkpoint/health.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { restoreRun } from "@trainingrun/checkpoint/restore.ts";
import { tensorsFile } from "@trainingrun/checkpoint/safetensors/write.ts";
import { saveCheckpoint } from "@trainingrun/checkpoint/save.ts";
import { openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { onTestFinished } from "vitest";
import { Batches, type Cursor, type Dataset } from "../src/batches.ts";
import { collectEnvironment, type TrainingFacts } from "../src/environment-facts.ts";
import { weightsDigest } from "../src/final-weights.ts";
import type { HeldTensor } from "../src/learner.ts";
import { Random, withMathRandom } from "../src/random.ts";
import { Replay } from "../src/replay/replay.ts";
import { resumeFrom } from "../src/resume.ts";
import { type Backend, type BackendName, startBackend } from "../src/tensorflow/backend.ts";
import { LayersLearner } from "../src/tensorflow/layers-learner.ts";
import type { TrainingState } from "../src/training-state.ts";

/*
 * A short life of a training process, without the loop around it: resume, train, save once on the way, and end without
 * a word, as a process that is killed does. Saves are waited for, so that every life is the same each time.
 */

type Names = "x" | "y";
type Tf = typeof tfjs;

const runUid = "run";

/** How one life goes; the fields below `replaySteps` plant what must not stay unseen. */
export type Life = {
  readonly directory: string;
  readonly steps: number;
  readonly saveAt?: number;
  readonly policy?: Partial<ResumePolicy>;
  readonly backend?: BackendName;
  /** What the backend says it is, in place of what it is. */
  readonly disguise?: Partial<Pick<Backend, "name" | "environment">>;
  readonly model?: (tf: Tf) => tfjs.LayersModel;
  readonly optimizer?: (tf: Tf) => tfjs.Optimizer;
  readonly learningRate?: number;
  /** How the script says that it trains; null for a trainer that did not record it yet. */
  readonly training?: Partial<TrainingFacts> | null;
  /** Another state of the random numbers than the checkpoint's. */
  readonly randomSeed?: number;
  /** Another order of the rows. */
  readonly cursor?: (cursor: Cursor) => Cursor;
};

/** What a life came to. */
export type Lived = {
  readonly report: ResumeReport | null;
  readonly replay: ReplayVerdict | null;
  readonly from: number;
  readonly weights: ReadonlyMap<string, readonly number[]>;
  readonly optimizer: ReadonlyMap<string, readonly number[]>;
  /** The weights and the optimizer's tensors before the first step. */
  readonly before: { readonly weights: Lived["weights"]; readonly optimizer: Lived["optimizer"] };
};

/** A directory for one run, gone with the test. */
export function runDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "short-life-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** The network that lives use unless they say otherwise: `units` and `head` change its last layer, `frozen` its first. */
export function network({
  units = 1,
  head = "head",
  frozen = false,
}: {
  units?: number;
  head?: string;
  frozen?: boolean;
} = {}) {
  return (tf: Tf) =>
    tf.sequential({
      // Without a name of its own it gets a number, another one in each life of this process.
      name: "network",
      layers: [
        tf.layers.dense({ inputShape: [4], units: 6, activation: "tanh", name: "body", trainable: !frozen }),
        tf.layers.dropout({ rate: 0.25, name: "dropout" }),
        tf.layers.dense({ units, name: head }),
      ],
    });
}

/** Lives once. */
export async function live(life: Life): Promise<Lived> {
  const { directory, policy, saveAt } = life;
  const { store, attempt, point } = await open(directory);
  const learner = await makeLearner(life);
  const data = new Batches(points(), { batchSize: 5, seed: 2 });
  const { backend, environment: said, config } = learner;
  const training = { batchSize: 5, seed: 7, permutationSeed: 2, steps: 9, ...life.training };
  const environment = collectEnvironment({ backend, environment: said, config, dataset: data.digest(), training });
  const { training: _, ...older } = environment;
  const rules = ResumePolicy.parse({ environmentMismatch: "Ignore", ...policy });
  const resumed = point === null ? null : await resumeFrom(point, { learner, data, policy: rules, environment });
  const state = resumed?.state;
  const random = new Random(
    life.randomSeed === undefined && state ? state.random : { seed: life.randomSeed ?? 3, counter: 0 },
  );
  if (life.cursor !== undefined) data.seek(life.cursor(data.cursor));
  const weights = () => {
    const held = learner.snapshot();
    const digest = weightsDigest(held.weights);
    for (const tensor of [...held.weights, ...held.optimizerTensors]) tensor.release();
    return digest;
  };
  const replay = await Replay.start({
    ...{ steps: rules.replaySteps, checkpoints: directory, attempt, weights, base: point },
    report: () => undefined,
  });
  const before = valuesOf(learner);
  for (let step = state?.step ?? 0; step < life.steps; ) {
    const loss = learner.step(data.next(), { step, random });
    step += 1;
    if (rules.replaySteps > 0) replay.afterStep({ step, loss, savingStep: null });
    if (step !== saveAt) continue;
    const snapshot = learner.snapshot();
    const saved = await saveCheckpoint(store, {
      ...{ runUid, attempt, step, parent: point?.digest ?? null, metrics: [], health: healthy, epoch: 0 },
      files: [
        tensorsFile("model.safetensors", snapshot.weights.map(inMemory)),
        tensorsFile("optimizer.safetensors", snapshot.optimizerTensors.map(inMemory)),
        jsonFile("state.json", {
          ...{ version: 1, step, random: random.state, cursor: data.cursor, datasetSize: data.dataset.size },
          ...{ optimizer: snapshot.optimizer, metrics: [], evaluatedStep: 0, best: null },
          ...{ trainedSeconds: 0, attempts: attempt },
        } satisfies TrainingState),
        jsonFile("environment.json", life.training === null ? older : environment),
      ],
      producer: { name: "test", version: "1" },
    });
    replay.committed({ digest: saved.manifest.digest, directory: saved.directory });
  }
  await replay.settled();
  return {
    report: resumed?.report ?? null,
    replay: replay.verdict,
    from: state?.step ?? 0,
    ...valuesOf(learner),
    before,
  };
}

async function open(directory: string) {
  const store = await openDirectoryStore(directory, { runUid });
  const attempt = ((await readLog(store)).state.opened?.attempt ?? 0) + 1;
  const expected: Expected = { ...nothingExpected, unhealthy: "Accept" };
  const who = { runUid, attempt, podUid: `pod-${attempt}`, node: "node", generation: 1 };
  const outcome = await restoreRun(store, { ...who, visibleWithinMs: 0, expected });
  if (outcome.kind === "failed") throw new Error(outcome.message);
  return { store, attempt, point: outcome.restored.resume };
}

async function makeLearner(life: Life): Promise<LayersLearner<Names>> {
  const { model = network(), optimizer = (tf: Tf) => tf.train.adam(life.learningRate ?? 0.05) } = life;
  const backend = { ...(await backendOf(life.backend ?? "wasm")), ...life.disguise };
  const { tf } = backend;
  const seeded = new Random({ seed: 7, counter: 0 });
  return new LayersLearner<Names>(backend, {
    model: withMathRandom(seeded, () => model(tf)),
    optimizer: optimizer(tf),
    loss: (built, { x, y }) => {
      const guess = built.apply(x, { training: true }) as tfjs.Tensor2D;
      return tf.losses.meanSquaredError(y, guess.mean(1)) as tfjs.Scalar;
    },
    learningRate: undefined,
  });
}

/** What TensorFlow.js calls them. */
const engineNames = { tensorflow: "tensorflow", wasm: "wasm", javascript: "cpu" } as const;
const started = new Map<BackendName, Backend>();

/** A process starts one backend, once; the lives of this one take turns. */
async function backendOf(name: BackendName): Promise<Backend> {
  const backend = started.get(name) ?? (await startBackend({ device: "cpu", backend: name }));
  started.set(name, backend);
  await backend.tf.setBackend(engineNames[name]);
  return backend;
}

/** Noise and a line through it: no two rows alike. */
function points(): Dataset<Names> {
  const random = new Random({ seed: 8, counter: 0 });
  const size = 23;
  const x = Float32Array.from({ length: size * 4 }, () => random.next() * 2 - 1);
  const y = Float32Array.from({ length: size }, (_, row) => (x[row * 4] ?? 0) * 3 + random.next());
  return { size, columns: { x: { values: x, shape: [4] }, y: { values: y, shape: [] } } };
}

function inMemory(tensor: HeldTensor) {
  const bytes = tensor.read().slice();
  tensor.release();
  return { name: tensor.name, dtype: tensor.dtype, shape: tensor.shape, bytes };
}

function valuesOf(learner: LayersLearner<Names>): Pick<Lived, "weights" | "optimizer"> {
  const { weights, optimizerTensors } = learner.snapshot();
  const valuesByName = (held: readonly HeldTensor[]) =>
    new Map(held.map((tensor) => [tensor.name, [...new Float32Array(inMemory(tensor).bytes.buffer)]]));
  return { weights: valuesByName(weights), optimizer: valuesByName(optimizerTensors) };
}
