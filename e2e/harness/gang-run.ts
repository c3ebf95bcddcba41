import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { directoryName } from "@trainingrun/checkpoint/directory-name.ts";
import { parseManifest } from "@trainingrun/checkpoint/manifest.ts";
import { projectImageTag } from "../cluster/images/project-images.ts";
import type { RunVolume } from "./run-volume.ts";

/** How many workers the gangs of these tests have. */
export const gangSize = 2;

/** How the workers of a gang go on; what each means is said in gang-worker.ts. */
export type GangSettings = Readonly<{
  name: string;
  steps: number;
  stepMs: number;
  intervalSteps: number;
  shardsApartMs: number;
  stayMs: number;
  graceSeconds: number;
}>;

/**
 * A run of workers that train nothing, each on a node of its own, with one volume for all. For process nodes alone: what
 * its containers run are this machine's Node and a script of this tree.
 */
export function gangRun(settings: GangSettings): Record<string, unknown> {
  return {
    apiVersion: "trainingrun.dev/v1alpha1",
    kind: "TrainingRun",
    spec: {
      workers: gangSize,
      template: {
        spec: {
          terminationGracePeriodSeconds: settings.graceSeconds,
          automountServiceAccountToken: false,
          affinity: { podAntiAffinity: apartFrom(settings.name) },
          containers: [trainerOf(settings)],
        },
      },
      checkpoint: {
        volume: {
          claimTemplate: { accessModes: ["ReadWriteMany"], resources: { requests: { storage: "1Gi" } } },
        },
        interval: { steps: settings.intervalSteps },
        // None goes while it is being looked at.
        retention: { last: 20 },
      },
      retry: { backoff: { initialSeconds: 1, maxSeconds: 1 } },
    },
  };
}

/** The digests of all that the workers saved of a step, by file. */
export async function savedDigests(
  { directory }: RunVolume,
  { step, attempt }: Readonly<{ step: number; attempt: number }>,
): Promise<Record<string, string>> {
  const path = join(directory, "data", directoryName(step, attempt), "MANIFEST.json");
  const { files } = parseManifest(await readFile(path));
  return Object.fromEntries(files.map((file) => [file.path, file.digest]));
}

function apartFrom(name: string) {
  const term = {
    topologyKey: "kubernetes.io/hostname",
    labelSelector: { matchLabels: { "trainingrun.dev/run": name } },
  };
  return { requiredDuringSchedulingIgnoredDuringExecution: [term] };
}

function trainerOf({ steps, stepMs, shardsApartMs, stayMs }: GangSettings) {
  const variables = {
    GANG_STEPS: steps,
    GANG_STEP_MS: stepMs,
    GANG_SHARDS_APART_MS: shardsApartMs,
    GANG_STAY_MS: stayMs,
  };
  return {
    name: "trainer",
    image: projectImageTag("trainer"),
    command: [process.execPath, join(import.meta.dirname, "gang-worker.ts")],
    env: [
      ...Object.entries(variables).map(([name, value]) => ({ name, value: `${value}` })),
      { name: "GANG_ADDRESS", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } },
    ],
  };
}
