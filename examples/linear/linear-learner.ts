import type { Batch, Dataset } from "@trainingrun/trainer/batches.ts";
import { configDigest } from "@trainingrun/trainer/config-digest.ts";
import {
  type HeldTensor,
  type Learner,
  type LoadedTensors,
  type OptimizerState,
  requireSameTensors,
  type Snapshot,
} from "@trainingrun/trainer/learner.ts";
import { Random } from "@trainingrun/trainer/random.ts";

type Config = { readonly weights: number; readonly learningRate: number; readonly momentum: number };
type Points = Batch<"x" | "y">;

/**
 * Linear regression by stochastic gradient descent with momentum. One input in ten is dropped at random in each step,
 * so that random numbers matter to the result and a resume that lost them would show.
 */
export class LinearLearner implements Learner<Points> {
  readonly backend = "plain";
  readonly environment = {};
  readonly config;
  readonly #config: Config;
  #weights: Float32Array;
  #velocity: Float32Array;
  #iterations = 0;

  constructor(config: Config) {
    this.#config = config;
    this.config = configDigest(config);
    this.#weights = new Float32Array(config.weights);
    this.#velocity = new Float32Array(config.weights);
  }

  step({ x, y }: Points, { random }: { step: number; random: Random }): number {
    const { weights: width, learningRate, momentum } = this.#config;
    const kept = Float32Array.from({ length: width }, () => (random.next() < 0.1 ? 0 : 1));
    const gradient = new Float32Array(width);
    let loss = 0;
    y.values.forEach((wanted, row) => {
      let error = -wanted;
      for (let index = 0; index < width; index += 1) {
        error += at(this.#weights, index) * at(kept, index) * at(x.values, row * width + index);
      }
      loss += error ** 2;
      for (let index = 0; index < width; index += 1) {
        gradient[index] = at(gradient, index) + 2 * error * at(kept, index) * at(x.values, row * width + index);
      }
    });
    const rows = y.values.length;
    // New arrays each step: a snapshot that still holds the old ones keeps what it saw.
    this.#velocity = this.#velocity.map((value, index) => momentum * value + at(gradient, index) / rows);
    this.#weights = this.#weights.map((value, index) => value - learningRate * at(this.#velocity, index));
    this.#iterations += 1;
    return loss / rows;
  }

  snapshot(): Snapshot {
    return {
      weights: [hold("line/weights", this.#weights)],
      optimizerTensors: [hold("line/weights/velocity", this.#velocity)],
      optimizer: { kind: "momentum", iterations: this.#iterations },
    };
  }

  restore(weights: LoadedTensors, optimizerTensors: LoadedTensors, optimizer: OptimizerState): void {
    const shape = [this.#config.weights];
    requireSameTensors("weights", new Map([["line/weights", { dtype: "F32", shape }]]), weights);
    const velocity = "line/weights/velocity";
    requireSameTensors("optimizer state", new Map([[velocity, { dtype: "F32", shape }]]), optimizerTensors);
    this.#weights = floats(weights, "line/weights");
    this.#velocity = floats(optimizerTensors, velocity);
    this.#iterations = optimizer.iterations;
  }
}

/** Rows of a hidden line with a little noise; the same seed gives the same points. */
export function noisyPoints(wanted: { rows: number; weights: number; seed: number }): Dataset<"x" | "y"> {
  const { rows, weights, seed } = wanted;
  const random = new Random({ seed, counter: 0 });
  const line = Float32Array.from({ length: weights }, () => random.next() * 2 - 1);
  const x = Float32Array.from({ length: rows * weights }, () => (random.next() * 2 - 1) / Math.sqrt(weights));
  const y = Float32Array.from({ length: rows }, (_, row) =>
    line.reduce((sum, weight, index) => sum + weight * at(x, row * weights + index), (random.next() - 0.5) / 10),
  );
  return { size: rows, columns: { x: { values: x, shape: [weights] }, y: { values: y, shape: [] } } };
}

function hold(name: string, values: Float32Array): HeldTensor {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return {
    name,
    dtype: "F32",
    shape: [values.length],
    bytes: values.byteLength,
    read: () => bytes,
    copyTo: (target, from) => target.set(bytes.subarray(from, from + target.byteLength)),
    release: () => undefined,
  };
}

function floats(tensors: LoadedTensors, name: string): Float32Array {
  return new Float32Array((tensors.get(name)?.bytes ?? new Uint8Array()).slice().buffer);
}

function at(values: Float32Array | Int32Array, index: number): number {
  return values[index] ?? 0;
}
