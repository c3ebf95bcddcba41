import type { ApiClient } from "../../control-plane/api-client.ts";
import { isNotFound, isOtherObject } from "../../control-plane/api-error.ts";
import { Backoff, pause } from "../backoff.ts";
import type { Pod } from "./pod.ts";
import { conditionsOf, type PodSnapshot, statusFields } from "./pod-status.ts";

/** What a writer is made of. */
export interface StatusWriterOptions {
  readonly client: ApiClient;
  readonly pod: Pod;
  readonly read: () => PodSnapshot;
  readonly onError: (error: unknown) => void;
  /** Ends all tries: the node stops. */
  readonly signal: AbortSignal;
}

/**
 * Keeps a pod's status in the API server equal to what its node sees: one write at a time, always of the newest state,
 * tried until it succeeds or the pod is gone. The uid in each patch keeps it from a pod that took the name since.
 */
export class StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #path: string;
  readonly #transitions = new Map<string, { status: string; time: string }>();
  readonly #backoff = new Backoff(100, 5_000);
  #isStale = false;
  #isGone = false;
  #written = "";
  #writing: Promise<void> | undefined;

  constructor(options: StatusWriterOptions) {
    const { namespace, name } = options.pod.metadata;
    this.#options = options;
    this.#path = `/api/v1/namespaces/${namespace}/pods/${name}`;
  }

  /** Says that the snapshot may have changed; returns at once. */
  changed(): void {
    this.#isStale = true;
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
  }

  /** Resolves when the API server has the newest snapshot, or the pod is gone. */
  async settled(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  /** Takes the object away, now that all its containers have ended. Finalizers of others may hold it longer. */
  async deleteObject(): Promise<void> {
    const { client, pod, signal } = this.#options;
    const body = {
      kind: "DeleteOptions",
      apiVersion: "v1",
      gracePeriodSeconds: 0,
      preconditions: { uid: pod.metadata.uid },
    };
    await this.#retried(() => client.call({ method: "DELETE", path: this.#path, body, signal }));
  }

  async #write(): Promise<void> {
    // A state that lasts for less than a turn of the event loop is no state: what changes together is written together.
    await Promise.resolve();
    while (this.#isStale && !this.#isGone && !this.#options.signal.aborted) {
      this.#isStale = false;
      const body = this.#body();
      const text = JSON.stringify(body);
      if (text === this.#written) continue;
      const { client, signal } = this.#options;
      const path = `${this.#path}/status`;
      await this.#retried(() => client.call({ method: "PATCH", path, body, patch: "strategic-merge", signal }));
      this.#written = text;
    }
  }

  async #retried(call: () => Promise<unknown>): Promise<void> {
    const { signal, onError } = this.#options;
    while (!signal.aborted && !this.#isGone) {
      try {
        await call();
        this.#backoff.reset();
        return;
      } catch (error) {
        if (signal.aborted) return;
        this.#isGone = isNotFound(error) || isOtherObject(error);
        if (this.#isGone) return;
        onError(error);
        await pause(this.#backoff.next(), signal);
      }
    }
  }

  #body(): Record<string, unknown> {
    const snapshot = this.#options.read();
    const conditions = conditionsOf(snapshot).map((condition) => {
      const before = this.#transitions.get(condition.type);
      const time = before?.status === condition.status ? before.time : new Date().toISOString().replace(/\.\d+/, "");
      this.#transitions.set(condition.type, { status: condition.status, time });
      return { lastProbeTime: null, lastTransitionTime: time, reason: null, message: null, ...condition };
    });
    const { uid, generation } = this.#options.pod.metadata;
    const observed = generation === undefined ? {} : { observedGeneration: generation };
    return { metadata: { uid }, status: { ...observed, ...statusFields(snapshot), conditions } };
  }
}
