import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import { createHasher } from "@trainingrun/checkpoint/hash.ts";
import type { HeldTensor } from "./learner.ts";

/**
 * A digest over weights alone, in the model's order: of each its name, type and shape on one line, then its bytes. Two
 * runs whose digests are equal ended with the same weights to the last bit, whatever happened to them on the way.
 */
export function weightsDigest(weights: readonly HeldTensor[]): Digest {
  const hasher = createHasher();
  for (const tensor of weights) {
    hasher.update(new TextEncoder().encode(`${JSON.stringify([tensor.name, tensor.dtype, tensor.shape])}\n`));
    hasher.update(tensor.read());
  }
  return hasher.digest();
}
