import type { KubeObject } from "../kubernetes/kube-object.ts";
import type { Resource } from "../kubernetes/resource.ts";
import type { Caches } from "./caches.ts";

/**
 * What this process has written and not yet seen come back. A run is not decided on before: a picture without
 * our own last write would have it decided, and done, a second time.
 */
export class OwnWrites {
  readonly #caches: Pick<Caches, "hasSeen" | "keeps">;
  readonly #unseen = new Map<string, readonly Write[]>();

  constructor(caches: Pick<Caches, "hasSeen" | "keeps">) {
    this.#caches = caches;
  }

  /** Remembers an answer of the API server to a write made for the run. */
  note(run: string, resource: Resource, written: KubeObject): void {
    // The answer to a deletion done at once is a Status, which has no version to wait for.
    const { namespace, resourceVersion } = written.metadata;
    if (namespace === undefined || resourceVersion === undefined) return;
    // An object outside the selector never comes over the watch.
    if (!this.#caches.keeps(resource, written)) return;
    const answer = { resourceVersion, at: performance.now() };
    this.#unseen.set(run, [...(this.#unseen.get(run) ?? []), { resource, namespace, answer }]);
  }

  /** Whether the caches show everything that was written for the run. */
  areSeen(run: string): boolean {
    const unseen = (this.#unseen.get(run) ?? []).filter(
      ({ resource, namespace, answer }) => !this.#caches.hasSeen(resource, namespace, answer),
    );
    if (unseen.length === 0) this.#unseen.delete(run);
    else this.#unseen.set(run, unseen);
    return unseen.length === 0;
  }
}

type Write = Readonly<{
  resource: Resource;
  namespace: string;
  answer: Readonly<{ resourceVersion: string; at: number }>;
}>;
