import { readFileSync } from "node:fs";
import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import { hashBytes } from "@trainingrun/checkpoint/hash.ts";
import { hardwareFacts } from "./hardware-facts.ts";
import { trainerVersion } from "./trainer-version.ts";

/** How the script sets the training: what a resume takes from the checkpoint although the script now says otherwise. */
export type TrainingFacts = {
  /** Absent where the data does not say. */
  readonly batchSize?: number;
  readonly seed: number;
  /** Decides the order of the rows; it follows from the seed of the data. */
  readonly permutationSeed: number;
  readonly steps: number;
};

/** `environment.json`: what shaped the numbers besides the checkpoint itself. Facts that are not known are left out. */
export type EnvironmentFacts = {
  readonly version: 1;
  readonly image?: string;
  /** Digest of the script, which is the whole program where it is bundled. */
  readonly code?: Digest;
  readonly packages: Readonly<Record<string, string>>;
  readonly runtime: Readonly<Record<string, string>>;
  readonly backend: string;
  /** What computes: `kind` (cpu or gpu), `model`, `threads`, and whatever else the learner says of it. */
  readonly device: Readonly<Record<string, string | number>>;
  /** Version of the GPU's driver. */
  readonly driver?: string;
  readonly dataset: Digest;
  readonly config: Digest;
  readonly training: TrainingFacts;
};

/** What a learner says of its backend under these names is the version of a package; the rest is about the device. */
const packageNames: readonly string[] = ["tfjs", "tensorflow"];

/** Collects the facts; `learner` says the ones about its backend, `training` those about the script. */
export function collectEnvironment(learner: {
  backend: string;
  environment: Readonly<Record<string, string | number>>;
  config: Digest;
  dataset: Digest;
  training: TrainingFacts;
}): EnvironmentFacts {
  const image = process.env.TRAININGRUN_IMAGE;
  const code = scriptDigest();
  const said = Object.entries(learner.environment);
  const packages = said.filter(([name]) => packageNames.includes(name)).map(([name, version]) => [name, `${version}`]);
  const { device: kind = "cpu", ...device } = Object.fromEntries(said.filter(([name]) => !packageNames.includes(name)));
  const { model, driver } = hardwareFacts(String(kind));
  return {
    version: 1,
    ...(image === undefined ? {} : { image }),
    ...(code === undefined ? {} : { code }),
    packages: { trainer: trainerVersion, ...Object.fromEntries(packages) },
    runtime: { node: process.versions.node, v8: process.versions.v8, platform: `${process.platform}-${process.arch}` },
    backend: learner.backend,
    device: { kind, ...(model === undefined ? {} : { model }), ...device },
    ...(driver === undefined ? {} : { driver }),
    dataset: learner.dataset,
    config: learner.config,
    training: learner.training,
  };
}

/**
 * Those of the present facts that a checkpoint's are compared with: all, but for a checkpoint of a trainer that did not
 * record yet how the training was set. A new release alone must not make its runs end where a difference blocks.
 */
export function comparableFacts(present: EnvironmentFacts, saved: unknown): Partial<EnvironmentFacts> {
  if (typeof saved !== "object" || saved === null || "training" in saved) return present;
  const { training: _, ...facts } = present;
  return facts;
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
