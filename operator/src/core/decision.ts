import type { TrainingRunStatus } from "../api/status.ts";
import type { controllerReference } from "./names.ts";
import type { QueueMetadata } from "./queue-metadata.ts";

type OwnerReference = ReturnType<typeof controllerReference>;

/**
 * What to do next. Applied in this order: `status` by compare-and-swap on the run that was observed, only if it
 * changed; then `actions` in their order, stopping at the first error; then those `events` that are true by then:
 * what stands in `status` whatever became of the actions, and what tells of an action once that is done.
 * So whatever an action relies on (an attempt's number, a stop, a ledger entry) stands in `status` before it.
 */
export type Decision = Readonly<{
  status: TrainingRunStatus;
  actions: readonly Action[];
  /** Look again after this long even if nothing is observed to change. */
  requeueAfterMs?: number;
  events: readonly RunEvent[];
}>;

/** A raw object as it is sent to the API server, so that fields newer than any client survive. */
export type Manifest = Readonly<{
  apiVersion: string;
  kind: string;
  metadata: Readonly<{ name: string; namespace: string; [field: string]: unknown }>;
  [field: string]: unknown;
}>;

/** One write. Every one that touches an existing object names its uid, which is sent as a precondition (I7). */
export type Action =
  /** Add the finalizer `trainingrun.dev/final-save` to the run. */
  | Readonly<{ kind: "HoldRun" }>
  /** Take it off: the deletion may go on. */
  | Readonly<{ kind: "ReleaseRun" }>
  /** Delete the run itself: its time to live after the end is over. */
  | Readonly<{ kind: "DeleteRun" }>
  | Readonly<{ kind: "CreateClaim"; manifest: Manifest }>
  | Readonly<{ kind: "DeleteClaim"; name: string; uid: string }>
  /** Headless Service of a gang. */
  | Readonly<{ kind: "CreateService"; manifest: Manifest }>
  /**
   * Named after run, attempt and worker. `AlreadyExists` is success only if a live read shows the run's uid as controller, or
   * nobody as controller and all of the pod's own labels; what it lacks of them is put back after all else.
   */
  | Readonly<{ kind: "CreatePod"; manifest: Manifest; attempt: number; worker: number }>
  /** The pod that removes a deleted run's objects. `AlreadyExists` is success only if the run controls it. */
  | Readonly<{ kind: "CreateRemovalPod"; manifest: Manifest }>
  /** Ask the pod to stop with its own grace period; by `force` its object goes at once, whatever its kubelet still runs. */
  | Readonly<{ kind: "DeletePod"; name: string; uid: string; force?: true }>
  /**
   * Write back on a recorded pod what somebody took off it; its owner only where it has no other, and what its queue knows
   * it by only where nobody refuses that.
   */
  | Readonly<{
      kind: "MendPod";
      name: string;
      uid: string;
      labels: Readonly<Record<string, string>>;
      queue?: QueueMetadata;
      owner: OwnerReference;
    }>
  /** Take the finalizer `trainingrun.dev/accounting` off a pod whose end is in the ledger. */
  | Readonly<{ kind: "ReleasePod"; name: string; uid: string; resourceVersion: string; finalizers: readonly string[] }>;

/** An event about the run, published after the decision's writes. */
export type RunEvent = Readonly<{ type: "Normal" | "Warning"; reason: string; message: string }>;
