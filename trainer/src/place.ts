import { join, resolve } from "node:path";
import {
  type BestMetric,
  type Interval,
  PodEnvironment,
  type VolumeDurability,
} from "@trainingrun/checkpoint/contract/pod-environment.ts";
import type { ResumePolicy } from "@trainingrun/checkpoint/contract/resume.ts";
import { z } from "zod";
import type { BestPolicy } from "./best.ts";

/** Where a script trains: in a pod of a TrainingRun, where an agent restores, or at hand, where it restores itself. */
export type Place = PodPlace | LocalPlace;

type Common = {
  readonly runUid: string;
  /** The run's own directory: it holds `log/` and `data/`. */
  readonly checkpoints: string;
  readonly interval: Interval;
  /** What may pass between the first signal and the process' end. */
  readonly graceSeconds: number;
};

export type PodPlace = Common & {
  readonly kind: "pod";
  readonly attempt: number;
  readonly worker: number;
  /** Whether what is saved outlives the pod. */
  readonly volume: VolumeDurability;
  /** What retention ranks by; undefined where it ranks nothing. */
  readonly best?: BestMetric | undefined;
  /** No new step for so long is a stall; undefined where none is watched for. */
  readonly stallSeconds?: number | undefined;
  readonly control: string;
  readonly terminationLog: string;
};

export type LocalPlace = Common & { readonly kind: "local" };

/** What a script may choose for training at hand; in a pod the TrainingRun decides. */
export type LocalOptions = {
  readonly directory?: string;
  readonly interval?: Interval;
  readonly resume?: Partial<ResumePolicy>;
};

/** The variables say half of what a training pod needs: nothing is guessed. */
export class PlaceError extends Error {
  override name = "PlaceError";
}

/** A pod is recognised by any of its variables; then all of them must be there and well-formed. */
export function readPlace(environment: NodeJS.ProcessEnv, local: LocalOptions): Place {
  if (!Object.keys(PodEnvironment.shape).some((name) => environment[name] !== undefined)) {
    return {
      kind: "local",
      runUid: "local",
      checkpoints: resolve(local.directory ?? "checkpoints"),
      interval: local.interval ?? { auto: { maxSeconds: 60 } },
      graceSeconds: 30,
    };
  }
  const parsed = PodEnvironment.safeParse(environment);
  if (!parsed.success) {
    throw new PlaceError(
      "Cannot train in this pod because its TRAININGRUN_ variables must all be set by the operator: " +
        z.prettifyError(parsed.error).replaceAll("\n", " "),
    );
  }
  const pod = parsed.data;
  return {
    kind: "pod",
    runUid: pod.TRAININGRUN_UID,
    attempt: pod.TRAININGRUN_ATTEMPT,
    worker: pod.TRAININGRUN_WORKER,
    checkpoints: pod.TRAININGRUN_CHECKPOINTS,
    volume: pod.TRAININGRUN_VOLUME,
    best: pod.TRAININGRUN_BEST,
    stallSeconds: pod.TRAININGRUN_STALL_SECONDS,
    control: pod.TRAININGRUN_CONTROL,
    terminationLog: pod.TRAININGRUN_TERMINATION_LOG,
    interval: pod.TRAININGRUN_INTERVAL,
    graceSeconds: pod.TRAININGRUN_GRACE_SECONDS,
  };
}

/**
 * Which evaluation is best, and is saved at its step: by the script's own words, else by what retention ranks by, which
 * only the checkpoints of evaluated steps can be.
 */
export function bestAt(place: Place, own: BestPolicy | undefined): BestPolicy | undefined {
  return own ?? (place.kind === "pod" ? place.best : undefined);
}

/** Where `progress.json` goes: the control directory, or beside the checkpoints of a run at hand. */
export function progressDirectory(place: Place): string {
  return place.kind === "pod" ? place.control : join(place.checkpoints, "control");
}
