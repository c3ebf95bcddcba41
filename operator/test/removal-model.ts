import type { RemovalRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import type { Manifest } from "../src/core/decision.ts";
import { observeRemoval } from "../src/core/observe-removal.ts";
import type { ObservedRemoval } from "../src/core/observed.ts";
import { removalContainerName } from "../src/core/removal-pod.ts";

/** How the pod of the model fares: `Down` is a store that does not answer, `Evicted` a pod that is started nowhere again. */
export type StoreState = "Up" | "Down" | "Evicted";

/** The pod that removes a deleted run's objects, and the store they lie in, for the model of the cluster. */
export class RemovalModel {
  created = 0;
  /** Whether objects of the run are left. */
  objects = true;
  #pod: Readonly<{ manifest: Manifest; uid: string; createdAt: number; status: unknown }> | null = null;

  create(manifest: Manifest, now: number): void {
    if (this.#pod !== null) return;
    this.created += 1;
    this.#pod = { manifest, uid: `removal-${this.created}`, createdAt: now, status: {} };
  }

  delete({ name, uid }: Readonly<{ name: string; uid: string }>): void {
    if (this.#pod?.uid === uid && this.#pod.manifest.metadata.name === name) this.#pod = null;
  }

  /** The kubelet runs it once. */
  work(state: StoreState): void {
    if (this.#pod === null || this.observe()?.failed) return;
    this.#pod = { ...this.#pod, status: statusAfter[state] };
    if (state === "Up") this.objects = false;
  }

  observe(): ObservedRemoval | null {
    if (this.#pod === null) return null;
    const { manifest, uid, createdAt, status } = this.#pod;
    const metadata = { ...manifest.metadata, uid, creationTimestamp: new Date(createdAt).toISOString() };
    return observeRemoval({ ...manifest, metadata, status });
  }
}

const record = (fields: RemovalRecord) => JSON.stringify(fields);
const containers = (state: unknown, lastState: unknown = {}) => [{ name: removalContainerName, state, lastState }];

const statusAfter: Readonly<Record<StoreState, unknown>> = {
  Up: {
    phase: "Succeeded",
    containerStatuses: containers({ terminated: { exitCode: 0, message: record({ kind: "deleted", seconds: 1 }) } }),
  },
  Down: {
    phase: "Running",
    containerStatuses: containers(
      { waiting: { reason: "CrashLoopBackOff", message: "back-off" } },
      {
        terminated: {
          exitCode: 1,
          message: record({ kind: "delete-failed", reason: "EndpointUnreachable", message: "Cannot list the bucket." }),
        },
      },
    ),
  },
  Evicted: { phase: "Failed", message: "The node was low on resource: memory." },
};
