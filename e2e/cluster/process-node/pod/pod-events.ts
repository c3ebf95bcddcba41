import type { ApiClient } from "../../control-plane/api-client.ts";
import type { Pod } from "./pod.ts";

/**
 * As a kubelet repeats what it still meets. Its times have no fractions: said once, a trouble may seem to lie before the
 * scheduler's event of the same second, which says that all is well.
 */
const repeatMs = 5_000;

/** Tells people what keeps a pod from running: Warning events, as `kubectl describe pod` shows them. */
export class PodEvents {
  readonly #client: ApiClient;
  readonly #nodeName: string;
  readonly #signal: AbortSignal;
  readonly #onError: (error: unknown) => void;
  /** By pod and reason; told again in other words or after a while, since most troubles are met again at every try. */
  readonly #told = new Map<string, Readonly<{ message: string; atMs: number }>>();

  constructor(options: {
    client: ApiClient;
    nodeName: string;
    signal: AbortSignal;
    onError: (error: unknown) => void;
  }) {
    this.#client = options.client;
    this.#nodeName = options.nodeName;
    this.#signal = options.signal;
    this.#onError = options.onError;
  }

  /** Records a trouble; returns at once, and an event that cannot be written is only reported. */
  warn(pod: Pod, reason: string, message: string): void {
    const key = `${pod.metadata.uid} ${reason}`;
    const atMs = performance.now();
    const last = this.#told.get(key);
    if (this.#signal.aborted || (last?.message === message && atMs - last.atMs < repeatMs)) return;
    this.#told.set(key, { message, atMs });
    const path = `/api/v1/namespaces/${pod.metadata.namespace}/events`;
    const call = this.#client.call({
      method: "POST",
      path,
      body: this.#event(pod, reason, message),
      signal: this.#signal,
    });
    call.catch((error: unknown) => {
      if (!this.#signal.aborted) this.#onError(error);
    });
  }

  /** Forgets what was said about a pod that is gone. */
  forget(uid: string): void {
    for (const key of this.#told.keys()) if (key.startsWith(`${uid} `)) this.#told.delete(key);
  }

  #event(pod: Pod, reason: string, message: string): Record<string, unknown> {
    const { name, namespace, uid, resourceVersion } = pod.metadata;
    const now = new Date().toISOString().replace(/\.\d+/, "");
    return {
      apiVersion: "v1",
      kind: "Event",
      metadata: { generateName: `${name.slice(0, 200)}.`, namespace },
      involvedObject: { apiVersion: "v1", kind: "Pod", name, namespace, uid, resourceVersion },
      type: "Warning",
      reason,
      message: message.slice(0, 1_000),
      source: { component: "process-node", host: this.#nodeName },
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
    };
  }
}
