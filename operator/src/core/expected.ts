import type { Expected } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import type { AttemptEntry } from "../api/status.ts";
import type { TrainingRun } from "../api/training-run.ts";
import { forkSource } from "./fork-source.ts";
import { isConfirmed } from "./node-suspicion.ts";

const maxDigests = 16;

/** What the operator has recorded, for the restore to hold what it finds against (I10). */
export function expectedOf(run: TrainingRun, entry: AttemptEntry): Expected {
  const { status, spec } = run;
  const { latestVerified, checkpoints = [], suspects = [], refused = [] } = status;
  const asked = entry.from === undefined ? undefined : spec.resume.from;
  return {
    latestVerified: latestVerified ? { step: latestVerified.step, digest: latestVerified.digest } : null,
    recorded: checkpoints.slice(0, maxDigests).map(({ step, digest, tiers }) => ({ step, digest, tiers: [...tiers] })),
    // What was refused for good stands in the log as well; what one node alone could not verify, another one tries.
    // A suspect is whole, so a user may choose it all the same.
    refused: [...(asked === undefined ? suspects : []), ...refused.filter(isConfirmed)]
      .map(({ digest }) => digest)
      .slice(0, maxDigests),
    base: baseOf(run, entry),
    noneVerified: spec.resume.noneVerified,
    unhealthy: spec.resume.unhealthy,
    environmentMismatch: spec.resume.environmentMismatch,
  };
}

/** What the user chose. A choice of another run's whose source is not on record any more is none of this run's steps. */
function baseOf(run: TrainingRun, { from, source }: AttemptEntry): Expected["base"] {
  if (source !== undefined) return { source: forkSource(run, source) };
  const asked = from === undefined ? undefined : run.spec.resume.from;
  if (asked === undefined) return null;
  return asked.run === undefined && asked.step !== undefined ? { step: asked.step } : {};
}
