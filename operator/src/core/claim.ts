import { labels } from "../api/names.ts";
import type { TrainingRun } from "../api/training-run.ts";
import { isTrue } from "./conditions.ts";
import type { Manifest } from "./decision.ts";
import { claimNameOf, runLabels } from "./names.ts";
import type { ObservedVolume } from "./observed.ts";
import type { Obstacle } from "./supported.ts";

/** What the state of the claim means for the next attempt. */
export type ClaimVerdict =
  | Readonly<{ kind: "Ready" }>
  | Readonly<{ kind: "Create"; manifest: Manifest }>
  | Readonly<{ kind: "Wait"; obstacle: Obstacle }>
  /** The run's own claim is gone with checkpoints on it, and the user does not want to start over. */
  | Readonly<{ kind: "Lost"; message: string }>;

/**
 * Judges the claim before an attempt. A lost claim is never taken for a first start (I10): with an object store a new
 * one is made, and the restore, which is told what is on record, finds it in that store or fails.
 */
export function judgeClaim(run: TrainingRun, volume: ObservedVolume): ClaimVerdict {
  if (volume.kind === "None") return { kind: "Ready" };
  if (volume.kind === "Absent") return judgeAbsent(run, volume.claimName);
  const { claimName } = volume;
  const own = run.spec.checkpoint.volume?.claimTemplate !== undefined;
  if (own && volume.runUid !== run.metadata.uid) {
    return wait(
      "ClaimForeign",
      `the claim ${claimName} exists and does not carry this run's uid in its label ${labels.runUid}: delete or rename it`,
    );
  }
  const { workers } = run.spec;
  if (!own && workers > 1 && !volume.accessModes.includes("ReadWriteMany")) {
    const modes = volume.accessModes.join(" and ") || "of no known access mode";
    const because = `the claim ${claimName} is ${modes}, and spec.workers (${workers}) save into it together`;
    return wait("ClaimNotShared", `${because}: name a claim with ReadWriteMany, or write 1`);
  }
  if (volume.deletionRequested) {
    return wait("ClaimTerminating", `the claim ${claimName} is being deleted: wait, or create it again with the data`);
  }
  if (volume.phase === "Lost") {
    const orElse =
      own && run.spec.checkpoint.objectStore !== undefined
        ? ", or delete the claim to go on from the object store"
        : "";
    return wait("ClaimLost", `the volume behind the claim ${claimName} is gone: bring the volume back${orElse}`);
  }
  return { kind: "Ready" };
}

/**
 * The claim is being deleted, which nobody can take back; it stands for as long as a pod uses it. Null where it is not, and
 * where the run is over or goes itself.
 */
export function goingClaim(run: TrainingRun, volume: ObservedVolume): Obstacle | null {
  if (volume.kind !== "Present" || !volume.deletionRequested || run.metadata.deletionTimestamp !== undefined)
    return null;
  if (isTrue(run.status.conditions, "Complete") || isTrue(run.status.conditions, "Failed")) return null;
  const rest =
    run.spec.checkpoint.objectStore === undefined
      ? "Copy what you need from the running pod before that."
      : "What is in the object store stays, and the run goes on from there.";
  return {
    reason: "ClaimTerminating",
    message: `The claim ${volume.claimName} is being deleted, and goes with all checkpoints on it as soon as no pod uses it. ${rest}`,
  };
}

function judgeAbsent(run: TrainingRun, claimName: string): ClaimVerdict {
  const template = run.spec.checkpoint.volume?.claimTemplate;
  if (template === undefined) {
    return wait(
      "ClaimMissing",
      `the claim ${claimName} that checkpoint.volume.claimName names does not exist: create it`,
    );
  }
  const recorded = run.status.latestVerified;
  const { checkpoint, resume } = run.spec;
  if (recorded !== undefined && checkpoint.objectStore === undefined && resume.noneVerified === "Fail") {
    return {
      kind: "Lost",
      message: `The claim ${claimName} is gone, and with it the checkpoint of step ${recorded.step} that was verified on it. To train from step 0 again, create a new run or set resume.noneVerified: StartOver beforehand.`,
    };
  }
  return { kind: "Create", manifest: ownClaim(run) };
}

/**
 * The run's own claim. It has no owner reference: garbage collection must not take the data with the run.
 * `deletionPolicy: Delete` deletes it by name and uid.
 */
export function ownClaim(run: TrainingRun): Manifest {
  return {
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: {
      name: claimNameOf(run) ?? run.metadata.name,
      namespace: run.metadata.namespace,
      labels: runLabels(run),
    },
    spec: { ...run.spec.checkpoint.volume?.claimTemplate },
  };
}

function wait(reason: string, because: string): ClaimVerdict {
  return { kind: "Wait", obstacle: { reason, message: `Cannot start an attempt because ${because}.` } };
}
