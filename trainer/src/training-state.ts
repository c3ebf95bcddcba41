import { Metrics, Step } from "@trainingrun/checkpoint/contract/digest.ts";
import { z } from "zod";
import { BestState } from "./best.ts";

/** The file of a checkpoint that holds what is no tensor. */
export const stateFile = "state.json";
/** The files that hold the tensors. */
export const weightsFile = "model.safetensors";
export const optimizerFile = "optimizer.safetensors";

/** `state.json`: with the tensors, all that decides how training goes on. */
export const TrainingState = z.object({
  version: z.literal(1),
  step: Step,
  random: z.object({ seed: z.int().min(0), counter: z.int().min(0) }),
  cursor: z.object({ epoch: z.int().min(0), permutationSeed: z.int().min(0), position: z.int().min(0) }),
  /** Rows in the data set: the cursor means nothing over another number of rows. */
  datasetSize: z.int().min(1),
  optimizer: z.object({ kind: z.string(), iterations: z.int().min(0) }),
  /** The newest value of every metric. */
  metrics: Metrics,
  /** The step after which the evaluation last ran: a stop can come between a step and its evaluation. */
  evaluatedStep: Step,
  best: BestState.nullable(),
  /** Seconds of training over all attempts so far, and how many attempts there were: the save interval's inputs. */
  trainedSeconds: z.number().min(0),
  attempts: z.int().min(1),
});
export type TrainingState = z.infer<typeof TrainingState>;
