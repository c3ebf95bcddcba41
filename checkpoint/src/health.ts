import type { z } from "zod";
import { hashBytes } from "./hash.ts";
import { limits } from "./limits.ts";
import type { Health as HealthSchema } from "./manifest.ts";

/** What a manifest says about NaN and infinity in its tensors. */
export type Health = z.infer<typeof HealthSchema>;

/** The health of a run without a non-finite value. */
export const healthy: Health = { nonFinite: [], nonFiniteTensors: 0, unexpected: [], unexpectedTensors: 0 };

/**
 * Compares the tensors that hold NaN or infinity now with those that did in the checkpoint the attempt resumed
 * from (or in the initial state, on a first start): a mask full of -infinity is normal, a new one is not. What a
 * manifest has no room for is left out of the lists and stays in the counts.
 */
export function compareHealth(nonFinite: readonly string[], before: readonly string[]): Health {
  const known = new Set(before.map(boundedName));
  const now = [...new Set(nonFinite.map(boundedName))].sort();
  const unexpected = now.filter((name) => !known.has(name));
  return {
    nonFinite: withinRoom(now),
    nonFiniteTensors: now.length,
    unexpected: withinRoom(unexpected),
    unexpectedTensors: unexpected.length,
  };
}

/** The health of what several have saved together, each with its own names below a prefix. */
export function mergeHealth(parts: readonly Readonly<{ prefix: string; health: Health }>[]): Health {
  const names = (of: "nonFinite" | "unexpected") =>
    withinRoom(parts.flatMap(({ prefix, health }) => health[of].map((name) => boundedName(`${prefix}${name}`))).sort());
  const count = (of: "nonFiniteTensors" | "unexpectedTensors") =>
    parts.reduce((sum, { health }) => sum + health[of], 0);
  return {
    nonFinite: names("nonFinite"),
    nonFiniteTensors: count("nonFiniteTensors"),
    unexpected: names("unexpected"),
    unexpectedTensors: count("unexpectedTensors"),
  };
}

/** Whether a manifest names all of its non-finite tensors; where it does not, only the tensors themselves tell. */
export function listsAllNonFinite({ nonFinite, nonFiniteTensors }: Health): boolean {
  return nonFinite.length === nonFiniteTensors;
}

/** A tensor's name, or its beginning and its digest where it is longer than a manifest takes. */
function boundedName(name: string): string {
  if (name.length <= limits.nonFiniteNameLength) return name;
  const digest = hashBytes(new TextEncoder().encode(name)).split(":").at(-1) ?? "";
  // A pair of surrogates that the cut goes through would be no text.
  const beginning = name.slice(0, limits.nonFiniteNameLength - digest.length - 1).toWellFormed();
  return `${beginning}~${digest}`;
}

function withinRoom(names: readonly string[]): string[] {
  let bytes = 0;
  const after = names.findIndex((name, index) => {
    bytes += Buffer.byteLength(JSON.stringify(name)) + 1;
    return index >= limits.nonFiniteNames || bytes > limits.nonFiniteBytes;
  });
  return after === -1 ? [...names] : names.slice(0, after);
}
