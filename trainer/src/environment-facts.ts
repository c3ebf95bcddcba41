import { readFileSync } from "node:fs";
import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import { hashBytes } from "@trainingrun/checkpoint/hash.ts";
import { trainerVersion } from "./trainer-version.ts";

/** `environment.json`: what shaped the numbers besides the checkpoint itself. Facts that are not known are left out. */
export type EnvironmentFacts = {
  readonly version: 1;
  readonly image?: string;
  /** Digest of the script, which is the whole program where it is bundled. */
  readonly code?: Digest;
  readonly packages: Readonly<Record<string, string>>;
  readonly runtime: Readonly<Record<string, string>>;
  readonly backend: string;
  readonly device: Readonly<Record<string, string | number>>;
  readonly dataset: Digest;
  readonly config: Digest;
};

/** Collects the facts; `learner` says the ones about its backend. */
export function collectEnvironment(learner: {
  backend: string;
  environment: Readonly<Record<string, string | number>>;
  config: Digest;
  dataset: Digest;
}): EnvironmentFacts {
  const image = process.env.TRAININGRUN_IMAGE;
  const code = scriptDigest();
  return {
    version: 1,
    ...(image === undefined ? {} : { image }),
    ...(code === undefined ? {} : { code }),
    packages: { trainer: trainerVersion },
    runtime: { node: process.versions.node, v8: process.versions.v8, platform: `${process.platform}-${process.arch}` },
    backend: learner.backend,
    device: learner.environment,
    dataset: learner.dataset,
    config: learner.config,
  };
}

function scriptDigest(): Digest | undefined {
  const script = process.argv[1];
  if (script === undefined) return undefined;
  try {
    return hashBytes(readFileSync(script));
  } catch {
    return undefined;
  }
}
