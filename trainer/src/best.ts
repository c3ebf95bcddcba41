import { z } from "zod";

/** Which of the evaluation's metrics counts, and after how many evaluations without a better one to stop early. */
export type BestPolicy = { readonly metric: string; readonly mode: "Min" | "Max"; readonly patience?: number };

/** The best value so far and how long ago it was; part of `state.json`, so that a resume counts on. */
export const BestState = z.object({
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
  const value = evaluation.metrics[policy.metric];
  const usable = value !== undefined && Number.isFinite(value);
  if (usable && (state === null || isBetter(policy.mode, value, state.value))) {
    return { value, step: evaluation.step, evaluationsSince: 0 };
  }
  return state === null ? null : { ...state, evaluationsSince: state.evaluationsSince + 1 };
}

/** Whether patience has run out: the run ends as done, before its last step. */
export function shouldStopEarly(policy: BestPolicy, state: BestState | null): boolean {
  return policy.patience !== undefined && state !== null && state.evaluationsSince >= policy.patience;
}

function isBetter(mode: BestPolicy["mode"], value: number, than: number): boolean {
  return mode === "Min" ? value < than : value > than;
}
