import { type ParsedTrainingRun, parseTrainingRun } from "../api/training-run.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";

const parsed = new WeakMap<KubeObject, ParsedTrainingRun>();

/**
 * The run that an object of the copy holds. Objects of the copy are replaced, never changed, so each of them is parsed
 * once, however many indexes and passes ask.
 */
export function parsedRun(raw: KubeObject): ParsedTrainingRun {
  const known = parsed.get(raw);
  if (known !== undefined) return known;
  const run = parseTrainingRun(raw);
  parsed.set(raw, run);
  return run;
}
