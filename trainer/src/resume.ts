import { setImmediate as nextMacrotask } from "node:timers/promises";
import type { ResumePolicy, ResumeReport } from "@trainingrun/checkpoint/contract/resume.ts";
import type { Health } from "@trainingrun/checkpoint/health.ts";
import { checkEnvironment } from "./environment-check.ts";
import { comparableFacts, type EnvironmentFacts } from "./environment-facts.ts";
import { IncompatibleError, type Learner } from "./learner.ts";
import { type LoadedState, loadState } from "./load-checkpoint.ts";
import { describePartial, fitPartially } from "./partial-load.ts";
import { say } from "./say.ts";
import type { StartingPoint } from "./starting-point.ts";
import type { BatchSource } from "./training-loop.ts";
import type { TrainingState } from "./training-state.ts";

/**
 * A checkpoint that training goes on from, and how it was taken up. It lives as long as the attempt, so it holds none of
 * the tensors: the learner has taken their values, and a second copy would stay in memory to the end.
 */
export type Resumed = {
  readonly state: TrainingState;
  /** What its manifest says of NaN and infinity. */
  readonly health: Health;
  readonly report: ResumeReport;
};

/** What takes the checkpoint up, and under which rules. */
export type Resuming<Data> = {
  readonly learner: Learner<Data>;
  readonly data: BatchSource<Data>;
  readonly policy: ResumePolicy;
  readonly environment: EnvironmentFacts;
  readonly signal?: AbortSignal;
};

/**
 * Puts the learner and the data where the checkpoint stands. Rejects with the signal's reason on a stop, which is looked
 * for while the checkpoint is read, and before and after the learner takes it.
 *
 * @throws {IncompatibleError} where this script cannot, or by the policy must not, go on from it.
 */
export async function resumeFrom<Data>(
  point: NonNullable<StartingPoint["resume"]>,
  { learner, data, policy, environment, signal = never }: Resuming<Data>,
): Promise<Resumed> {
  const loaded = await loadState(point, { signal });
  await heedStop(signal);
  const verdict = checkEnvironment(loaded.environment, comparableFacts(environment, loaded.environment), {
    policy: policy.environmentMismatch,
    report: say,
  });
  const fitted = fitPartially(learner, loaded, policy.partial);
  learner.restore(fitted.weights, fitted.optimizerTensors, loaded.state.optimizer);
  await heedStop(signal);
  requireSameRows(loaded, data);
  data.seek(loaded.state.cursor);
  const { partial } = fitted;
  if (partial !== null) say(`the checkpoint was loaded in part: ${describePartial(partial)}`);
  const { state, manifest } = loaded;
  return { state, health: manifest.health, report: { environment: verdict, ...(partial === null ? {} : { partial }) } };
}

const never = new AbortController().signal;

/** A signal that came while the thread was held is heard when the event loop comes round; the first turn may be no whole one. */
async function heedStop(signal: AbortSignal): Promise<void> {
  await nextMacrotask();
  await nextMacrotask();
  signal.throwIfAborted();
}

function requireSameRows<Data>({ state }: LoadedState, data: BatchSource<Data>): void {
  if (state.datasetSize === data.dataset.size) return;
  throw new IncompatibleError(
    "Cannot resume because the place in the data means something only over as many rows: " +
      `${state.datasetSize} in the checkpoint, ${data.dataset.size} in the script.`,
  );
}
