import { z } from "zod";
import { apiVersion, kind } from "./names.ts";
import { TrainingRunSpec } from "./spec.ts";
import { readStatus } from "./stored-status.ts";
import { trainerName } from "./template.ts";
import { Metadata, type TrainingRun } from "./training-run.ts";

/** A run that is being deleted, as far as letting it go needs it. */
export type DeletedRun = Readonly<{
  run: TrainingRun;
  /** False where the ledger could not be read: the stored status must then be left as it is. */
  statusIsRead: boolean;
}>;

const Deleted = z.looseObject({
  metadata: Metadata.required({ deletionTimestamp: true }),
  spec: z.looseObject({ managedBy: z.string().optional() }).catch({}),
  status: z.unknown(),
});

/**
 * Reads a deleted run that cannot be read whole; null where it is not being deleted. Stopping its pods takes nothing
 * of the spec, so one that breaks the schema stands for the least: no claim that could be removed, the default grace
 * period. Data is kept in every case, since what was asked for cannot be read for certain.
 */
export function readDeletedRun(raw: unknown): DeletedRun | null {
  const parsed = Deleted.safeParse(raw);
  if (!parsed.success) return null;
  const { metadata, spec, status } = parsed.data;
  const stored = readStatus(status);
  const read = TrainingRunSpec.safeParse(spec);
  const { managedBy } = spec;
  return {
    run: {
      apiVersion,
      kind,
      metadata,
      spec: {
        ...(read.success ? read.data : least),
        ...(managedBy === undefined ? {} : { managedBy }),
        deletionPolicy: "Retain",
      },
      status: stored.kind === "Read" ? stored.status : {},
    },
    statusIsRead: stored.kind === "Read",
  };
}

const least: TrainingRunSpec = {
  template: { spec: { containers: [{ name: trainerName }] } },
  workers: 1,
  checkpoint: { framework: "sdk", interval: { duration: "5m" }, retention: { last: 3 } },
  resume: { partial: [], replaySteps: 0, unhealthy: "Skip", environmentMismatch: "Warn", noneVerified: "Fail" },
  retry: { failures: 3, backoff: { initialSeconds: 10, maxSeconds: 300 }, disruptions: 0, rules: [] },
  nodeLost: { policy: "Wait" },
  suspend: false,
  deletionPolicy: "Retain",
};
