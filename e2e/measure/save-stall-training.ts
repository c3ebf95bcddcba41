/**
 * Trains one model with a save every so often and none in between, and prints what each step took as a line of JSON:
 * `node save-stall-training.ts DIRECTORY WIDTH SECONDS ROUNDS`, for so long and at least so many rounds. A process of its
 * own, for a process has only one TensorFlow.
 */
import type * as tfjs from "@tensorflow/tfjs";
import { nothingExpected } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { restoreRun } from "@trainingrun/checkpoint/restore.ts";
import { openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { batches } from "@trainingrun/trainer/batches.ts";
import { Pacer } from "@trainingrun/trainer/pacer.ts";
import { ProgressFile } from "@trainingrun/trainer/progress-file.ts";
import { Random } from "@trainingrun/trainer/random.ts";
import { Saver } from "@trainingrun/trainer/saver.ts";
import { writerThread } from "@trainingrun/trainer/saving/start-writer.ts";
import { startBackend } from "@trainingrun/trainer/tensorflow/backend.ts";
import { LayersLearner } from "@trainingrun/trainer/tensorflow/layers-learner.ts";
import { TrainingLoop } from "@trainingrun/trainer/training-loop.ts";
import type { StallTraining } from "./save-stall.ts";
import { Settling, StepClock } from "./save-stall-clock.ts";

const runUid = "save-stall";
const inputs = 64;
const rows = 512;
/** Saves are dense at first, and then as far apart as the first of them say, for those take their time otherwise. */
const settlingInSteps = 40;
const settlingSaves = [6, 5];
const mostRounds = 1_000;
const never = new AbortController().signal;

const [directory = "", ...numbers] = process.argv.slice(2);
const [width = 0, seconds = 0, leastRounds = 0] = numbers.map(Number);
console.log(JSON.stringify(await train()));

async function train(): Promise<StallTraining> {
  const learner = await newLearner();
  const pacer = new Pacer();
  const saver = await newSaver(pacer);
  const source = data();
  const loopOf = (steps: number, every: number, onStep: (step: number) => void, start: LoopStart) =>
    new TrainingLoop(
      {
        learner,
        data: source,
        steps,
        every: undefined,
        best: undefined,
        minStepMilliseconds: 0,
        interval: { steps: every },
        saver,
        pacer,
        progress: new ProgressFile({
          kind: "local",
          runUid,
          checkpoints: directory,
          interval: { steps: every },
          graceSeconds: 30,
        }),
        events: undefined,
        signal: never,
        onStep,
      },
      start,
    );
  let [start, done, intervalSteps, stepMs]: [LoopStart, number, number, number] = [{ seed: 1 }, 0, settlingInSteps, 0];
  for (const saves of settlingSaves) {
    const settling = new Settling(saver);
    const loop = loopOf(done + saves * intervalSteps, intervalSteps, settling.onStep, start);
    await loop.run();
    while (saver.inFlight !== null) await pacer.pause(10, never);
    [start, done, intervalSteps, stepMs] = [stateOf(loop), loop.step, settling.intervalSteps(), settling.stepMs];
  }
  const period = 2 * intervalSteps;
  const rounds = Math.min(mostRounds, Math.max(leastRounds, Math.ceil((seconds * 1000) / (period * stepMs))));
  const warmUp = Math.ceil((done + 1) / period) * period;
  const clock = new StepClock(saver, { warmUp, intervalSteps });
  // The step before the one at which another save would begin.
  const last = warmUp + rounds * period - 1;
  await loopOf(last, period, clock.onStep, start).run();
  const { p50Seconds, p99Seconds } = saver.stalls;
  const figures = {
    backend: learner.backend,
    stateBytes: saver.counts.lastBytes,
    intervalSteps,
    ...clock.figures,
    stallSeconds: { p50: p50Seconds ?? Number.NaN, p99: p99Seconds ?? Number.NaN },
    bytesPerSecond: saver.bytesPerSecond ?? Number.NaN,
    saves: saver.counts,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
  };
  await saver.close();
  return figures;
}

type LoopStart = ConstructorParameters<typeof TrainingLoop>[1];

/** Where a loop has come to, without the references that a save would hold. */
function stateOf(loop: Pick<TrainingLoop<unknown>, "saveRequest">): LoopStart {
  const { state, snapshot } = loop.saveRequest();
  for (const tensor of [...snapshot.weights, ...snapshot.optimizerTensors]) tensor.release();
  return { state };
}

async function newSaver(pacer: Pacer): Promise<Saver> {
  const store = await openDirectoryStore(directory, { runUid });
  const who = { runUid, attempt: 1, podUid: "pod-1", node: "node", generation: 1 };
  const outcome = await restoreRun(store, { ...who, expected: nothingExpected });
  if (outcome.kind === "failed") throw new Error(outcome.message);
  const writer = writerThread({ root: directory, runUid });
  return new Saver({ store, writer, attempt: 1, parent: null, nonFiniteBefore: [], environment: {}, pacer }, null);
}

async function newLearner(): Promise<LayersLearner<"x" | "y">> {
  const backend = await startBackend({ device: "cpu", backend: undefined });
  const { tf } = backend;
  const model = tf.sequential({
    layers: [
      tf.layers.dense({ inputShape: [inputs], units: width, activation: "relu", name: "first" }),
      tf.layers.dense({ units: width, activation: "relu", name: "second" }),
      tf.layers.dense({ units: 1, name: "last" }),
    ],
  });
  return new LayersLearner(backend, {
    model,
    optimizer: tf.train.adam(1e-4),
    loss: (network, { x, y }) =>
      tf.losses.meanSquaredError(y, tf.reshape(network.apply(x) as tfjs.Tensor, [-1])) as tfjs.Scalar,
    learningRate: undefined,
  });
}

function data() {
  const random = new Random({ seed: 1, counter: 0 });
  const x = Float32Array.from({ length: rows * inputs }, () => random.next());
  const y = Float32Array.from({ length: rows }, () => random.next());
  const columns = { x: { values: x, shape: [inputs] }, y: { values: y, shape: [] } };
  return batches({ size: rows, columns }, { batchSize: 32, seed: 1 });
}
