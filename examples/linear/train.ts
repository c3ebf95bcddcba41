/**
 * The smallest training there is: a line through noisy points, in plain JavaScript. It starts in a tenth of a second,
 * which makes it the right script to try a cluster with; and it shows what {@link trainLearner} asks of a learner.
 *
 *   node examples/linear/train.ts [--steps 500] [--step-ms 0] [--seed 7] [--weights 8] [--checkpoints checkpoints]
 */
// First, so that a SIGTERM is heard while everything else is still being loaded.
import "@trainingrun/trainer/stop.ts";

import { batches } from "@trainingrun/trainer/batches.ts";
import { trainLearner } from "@trainingrun/trainer/train-learner.ts";
import { LinearLearner, noisyPoints } from "./linear-learner.ts";
import { settings } from "./settings.ts";

/** Fewer of them for a large model, so that it starts fast all the same. */
const rows = Math.max(20, Math.min(1000, Math.floor(200_000 / settings.weights)));

const result = await trainLearner({
  learner: () => new LinearLearner({ weights: settings.weights, learningRate: 0.05, momentum: 0.9 }),
  data: batches(noisyPoints({ rows, weights: settings.weights, seed: settings.seed }), {
    batchSize: 20,
    seed: settings.seed,
  }),
  steps: settings.steps,
  seed: settings.seed,
  minStepMilliseconds: settings.stepMilliseconds,
  local: { directory: settings.checkpoints },
  onStep: (step, { loss }) => {
    if (step % 100 === 0) console.log(`step ${step}  loss ${loss?.toFixed(5)}`);
  },
});

console.log(`weights ${result.weights}`);
