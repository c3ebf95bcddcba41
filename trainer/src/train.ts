// First: signal handlers must stand before TensorFlow is imported, which takes long enough to lose a signal.
import "./stop.ts";

import type * as tfjs from "@tensorflow/tfjs";
import type { Batches } from "./batches.ts";
import type { BestPolicy } from "./best.ts";
import type { TrainResult } from "./endings.ts";
import type { MetricValues } from "./metric-values.ts";
import type { LocalOptions } from "./place.ts";
import { derivedSeed, Random, withMathRandom } from "./random.ts";
import { stop } from "./stop.ts";
import type { BackendName, Device, TensorFlow } from "./tensorflow/backend.ts";
import type { Loss } from "./tensorflow/layers-learner.ts";
import { trainLearner } from "./train-learner.ts";

/** What an evaluation is given. A long one looks at `signal` now and then, and returns early once it is aborted. */
export type EvaluationContext = { readonly step: number; readonly tf: TensorFlow; readonly signal: AbortSignal };

/** A training run; see {@link train}. */
export type TrainOptions<Name extends string> = {
  /** Builds the model. Its initial weights follow from `seed`. */
  readonly model: (tf: TensorFlow) => tfjs.LayersModel;
  /** Makes one of TensorFlow.js' own optimizers. */
  readonly optimizer: (tf: TensorFlow) => tfjs.Optimizer;
  /** The mean loss of a batch, for one step; dropout and other random ops in it follow from `seed`. */
  readonly loss: Loss<Name>;
  readonly data: Batches<Name>;
  /** The step to reach. */
  readonly steps: number;
  /** Decides all random numbers of model and steps; below 2^32, 0 where absent. The data's order has its own. */
  readonly seed?: number;
  /** The learning rate as a function of the step, so that a resume needs nothing to go on with it. */
  readonly learningRate?: (step: number) => number;
  /** Runs every so many steps and after the last; what it returns are the run's metrics. */
  readonly every?: {
    readonly steps: number;
    readonly run: (model: tfjs.LayersModel, context: EvaluationContext) => Promise<MetricValues> | MetricValues;
  };
  /** Which metric of `every` is best, and how many evaluations without a better one end the run early. */
  readonly best?: BestPolicy;
  /** `gpu` is an error where none can be used; `auto`, the default, takes the best there is. */
  readonly device?: Device;
  /** Which program computes; where absent, the fastest that is installed. */
  readonly backend?: BackendName | undefined;
  readonly minStepMilliseconds?: number | undefined;
  /** For training at hand: where checkpoints go (`./checkpoints`) and how often. In a pod the TrainingRun decides. */
  readonly local?: LocalOptions;
  readonly onStep?: (step: number, metrics: MetricValues) => void;
  /** Whether losses and evaluations are written for TensorBoard, in `tensorboard/` of the checkpoints; true if absent. */
  readonly tensorboard?: boolean;
};

/** Names the stream of random numbers that a model's initial weights come from among the uses of one seed. */
const modelStream = 3;

/**
 * Trains a TensorFlow.js layers model from wherever the run stands to its last step. Restore, random numbers, the place
 * in the data, saving, SIGTERM and progress are taken care of; with the same seed, data and backend the final weights
 * are the same to the last bit however often the run was interrupted. See {@link trainLearner} for how it ends.
 */
export async function train<Name extends string>(options: TrainOptions<Name>): Promise<TrainResult> {
  const { seed = 0, data, every } = options;
  let built: { model: tfjs.LayersModel; tf: TensorFlow } | null = null;
  return trainLearner({
    ...options,
    seed,
    data,
    learner: async () => {
      const { startBackend } = await import("./tensorflow/backend.ts");
      const { LayersLearner } = await import("./tensorflow/layers-learner.ts");
      const backend = await startBackend({ device: options.device ?? "auto", backend: options.backend });
      const { tf } = backend;
      const random = new Random({ seed: derivedSeed(seed, modelStream), counter: 0 });
      const model = withMathRandom(random, () => options.model(tf));
      built = { model, tf };
      const { loss, learningRate } = options;
      return new LayersLearner(backend, { model, optimizer: options.optimizer(tf), loss, learningRate });
    },
    every:
      every === undefined
        ? undefined
        : {
            steps: every.steps,
            run: ({ step, signal }) => {
              if (built === null) throw new Error("Cannot evaluate because the model must be built first.");
              return every.run(built.model, { step, tf: built.tf, signal });
            },
          },
  });
}

/** Whether and since when this process is asked to stop, for scripts with long work of their own. */
export { stop };
