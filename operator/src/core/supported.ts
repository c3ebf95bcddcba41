import type { TrainingRunSpec } from "../api/spec.ts";
import type { TrainingRun } from "../api/training-run.ts";

/** Why a run is not begun, for the condition: it stays as it is until the spec is edited. */
export type Obstacle = Readonly<{ reason: string; message: string }>;

type Limit = Readonly<{ field: string; used: (spec: TrainingRunSpec) => boolean; instead: string }>;

/**
 * What the API knows and this version does not do yet. A field that would be ignored in silence is a promise
 * broken in silence, so a run that uses one is not begun. This is the only list; a feature that arrives deletes
 * its line.
 */
export const limits: readonly Limit[] = [
  {
    field: "spec.workers above 1 without a volume that all of them can mount",
    used: ({ workers, checkpoint: { volume } }) =>
      workers > 1 &&
      volume?.claimName === undefined &&
      volume?.claimTemplate?.accessModes.includes("ReadWriteMany") !== true,
    instead: "write accessModes [ReadWriteMany] in checkpoint.volume.claimTemplate, or name such a claim",
  },
  {
    field: "spec.checkpoint.framework",
    used: ({ checkpoint }) => checkpoint.framework !== "sdk",
    instead: "write sdk and train with this project's SDK",
  },
  {
    field: "spec.deletionPolicy: Delete with checkpoint.volume.claimName",
    used: ({ deletionPolicy, checkpoint }) => deletionPolicy === "Delete" && checkpoint.volume?.claimName !== undefined,
    instead: "write Retain: the claim is not the run's own, so its data stays",
  },
];

/** The first field of the spec that this version cannot honour. */
export function unsupportedField({ spec }: TrainingRun): Obstacle | null {
  const limit = limits.find(({ used }) => used(spec));
  if (limit === undefined) return null;
  return {
    reason: "NotSupported",
    message: `Cannot start an attempt because ${limit.field} is not supported by this version: ${limit.instead}.`,
  };
}
