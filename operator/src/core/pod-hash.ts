import type { TrainingRun } from "../api/training-run.ts";
import { fingerprint } from "./fingerprint.ts";
import { type Json, objectOf } from "./json.ts";

/**
 * Tells whether an edit changes what an attempt's pods are made of. Made from the spec alone: a new version of the
 * operator, or other settings of it, are no edit (I11).
 */
export function podHash({ spec }: TrainingRun): string {
  const { template, workers, checkpoint, resume, stall } = spec;
  return fingerprint(JSON.stringify(inOrder({ template, workers, checkpoint, resume, stall })));
}

/** The same fields in another order are the same spec. */
function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (typeof value !== "object" || value === null) return value;
  const fields: Json = objectOf(value);
  return Object.fromEntries(
    Object.keys(fields)
      .sort()
      .map((name) => [name, inOrder(fields[name])]),
  );
}
