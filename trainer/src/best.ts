import { z } from "zod";

const Mode = z.enum(["Min", "Max"]);

/** Which of the evaluation's metrics counts, and after how many evaluations without a better one to stop early. */
export type BestPolicy = { readonly metric: string; readonly mode: z.infer<typeof Mode>; readonly patience?: number };

/**
 * The best value so far, of which metric, and how long ago it was; part of `state.json`, so that a resume counts on. A
 * run can be edited to go by another metric, and its values say nothing about those of the one before.
 */
export const BestState = z.object({
  metric: z.string(),
  mode: Mode,
  value: z.number(),
  step: z.int().min(0),
  evaluationsSince: z.int().min(0),
});
export type BestState = z.infer<typeof BestState>;

/** Takes an evaluation in. A metric that is missing or no finite number never becomes the best. */
export function recordEvaluation(
  policy: BestPolicy,
  state: BestState | null,
  evaluation: { step: number; metrics: Readonly<Record<string, number>> },
): BestState | null {
  const { metric, mode } = policy;
  const best = goesBy(policy, state) ? state : null;
  const value = evaluation.metrics[metric];
  const usable = value !== undefined && Number.isFinite(value);
  if (usable && (best === null || isBetter(mode, value, best.value))) {
    return { metric, mode, value, step: evaluation.step, evaluationsSince: 0 };
  }
  return best === null ? null : { ...best, evaluationsSince: best.evaluationsSince + 1 };
}

/** Whether patience has run out: the run ends as done, before its last step. */
export function shouldStopEarly(policy: BestPolicy, state: BestState | null): boolean {
  const { patience } = policy;
  return patience !== undefined && goesBy(policy, state) && state.evaluationsSince >= patience;
}

function goesBy(policy: BestPolicy, state: BestState | null): state is BestState {
  return state?.metric === policy.metric && state.mode === policy.mode;
}

function isBetter(mode: BestPolicy["mode"], value: number, than: number): boolean {
  return mode === "Min" ? value < than : value > than;
}
