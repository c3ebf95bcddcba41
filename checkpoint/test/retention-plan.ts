import type { Digest } from "../src/contract/digest.ts";
import { type RetentionInput, retain } from "../src/retention.ts";
import { digestOf, log } from "./log-builder.ts";

/** Keeps two, without a byte budget. */
export const policy: RetentionInput["policy"] = { last: 2, best: null, everySteps: null, maxBytes: null };

/** When the records of a `log()` were written; a day later their evidence is over. */
export const now = "2026-01-01T00:00:00.000Z";

/** The digests of these steps of attempt 1. */
export const a1 = (...steps: number[]): Digest[] => steps.map((step) => digestOf(step, 1));

/** A log in which attempt 1 has saved these steps. */
export function runOf(steps: readonly number[]) {
  const builder = log().open(1);
  for (const step of steps) builder.commit(1, step);
  return builder;
}

/** The plan by steps; of steps 10 to 50 of attempt 1 where no other state is given. Every test says what differs. */
export function plan(input: Partial<RetentionInput>) {
  const state = input.state ?? runOf([10, 20, 30, 40, 50]).state;
  const { keep, remove, ...rest } = retain({ policy, verified: [], recorded: [], now, ...input, state });
  return {
    ...rest,
    keep: Object.fromEntries(keep.map(({ ref, reasons }) => [ref.step, reasons.join(" ")])),
    remove: remove.map(({ ref }) => ref.step),
  };
}
