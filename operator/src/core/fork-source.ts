import type { ForkSource } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import type { AttemptEntry, ForkedFrom } from "../api/status.ts";
import { claimVolumeName, sourceVolumeName } from "../api/template.ts";
import type { TrainingRun } from "../api/training-run.ts";
import type { Json } from "./json.ts";
import { claimNameOf } from "./names.ts";

/** Where the agent finds the directory of the run that is copied from. */
const sourcePath = "/trainingrun/source";

/** What the restore is told of it. Everything is taken from the ledger: what stands there does not change any more. */
export function forkSource({ spec }: TrainingRun, source: ForkedFrom): ForkSource {
  const { uid, step = 0, directory, digest, claim, bucket, prefix = "", since } = source;
  const { objectStore } = spec.checkpoint;
  const settings = bucket === undefined || objectStore === undefined ? null : { ...objectStore, bucket, prefix };
  return {
    run: uid,
    checkpoint: directory !== undefined && digest !== undefined ? { directory, digest } : { step },
    ...(claim === undefined ? {} : { volume: sourcePath }),
    ...(settings === null ? {} : { objectStore: storeOf(settings) }),
    since,
  };
}

function storeOf({ endpoint, bucket, prefix, region }: Store): NonNullable<ForkSource["objectStore"]> {
  return { endpoint, bucket, prefix: prefix.replace(/^\/+|\/+$/g, ""), region: region ?? null };
}

type Store = { endpoint: string; bucket: string; prefix: string; region?: string | undefined };

/** The volume that it is read from, where that is none of the pod's already. */
export function sourceVolumes(run: TrainingRun, { source }: AttemptEntry): Json[] {
  if (source?.claim === undefined || source.claim === claimNameOf(run)) return [];
  return [{ name: sourceVolumeName, persistentVolumeClaim: { claimName: source.claim } }];
}

/** The other run's directory and nothing beside it, for the agent alone, which cannot write there. */
export function sourceMounts(run: TrainingRun, { source }: AttemptEntry): Json[] {
  if (source?.claim === undefined) return [];
  const name = source.claim === claimNameOf(run) ? claimVolumeName : sourceVolumeName;
  return [{ name, mountPath: sourcePath, subPath: source.uid, readOnly: true }];
}
