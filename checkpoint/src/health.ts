import type { z } from "zod";
import { limits } from "./limits.ts";
import type { Health as HealthSchema } from "./manifest.ts";

/** What a manifest says about NaN and infinity in its tensors. */
export type Health = z.infer<typeof HealthSchema>;

/** The health of a run without a non-finite value. */
export const healthy: Health = { nonFinite: [], nonFiniteTensors: 0, unexpected: [], unexpectedTensors: 0 };

/**
 * Compares the tensors that hold NaN or infinity now with those that did in the checkpoint the attempt resumed
 * from (or in the initial state, on a first start): a mask full of -infinity is normal, a new one is not.
 */
export function compareHealth(nonFinite: readonly string[], before: readonly string[]): Health {
  const known = new Set(before);
  const now = [...new Set(nonFinite)].sort();
  const unexpected = now.filter((name) => !known.has(name));
  return {
    nonFinite: now.slice(0, limits.nonFiniteNames),
    nonFiniteTensors: now.length,
    unexpected: unexpected.slice(0, limits.nonFiniteNames),
    unexpectedTensors: unexpected.length,
  };
}
