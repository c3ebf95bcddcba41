import { canonicalJson } from "@trainingrun/checkpoint/canonical-json.ts";
import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import { hashBytes } from "@trainingrun/checkpoint/hash.ts";

/** Names a configuration in `environment.json`; what JSON cannot say (functions, undefined) is left out. */
export function configDigest(config: unknown): Digest {
  const plain: unknown = JSON.parse(JSON.stringify(config));
  return hashBytes(new TextEncoder().encode(canonicalJson(plain)));
}
