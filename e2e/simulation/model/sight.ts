import { labels } from "@trainingrun/operator/api/names.ts";
import type { Operator } from "@trainingrun/operator/control/operator.ts";
import type { KubeObject } from "@trainingrun/operator/kubernetes/kube-object.ts";
import { claims, nodes, pods, type Resource } from "@trainingrun/operator/kubernetes/resource.ts";
import { readyFaults } from "@trainingrun/operator/serve/health.ts";
import type { SimProcess } from "../host/process.ts";
import type { History } from "../judge/history.ts";
import type { ModelApi } from "./api/model-api.ts";
import { keyIn } from "./api/object.ts";

/** How often it is looked at what an operator sees. */
const lookEveryMs = 10_000;

/** What an operator's looks are noted under, and what they are compared with. */
export type SightOptions = Readonly<{
  operator: Operator;
  process: SimProcess;
  name: string;
  api: ModelApi;
  runs: Resource;
  history: History;
}>;

/**
 * Compares what an operator has in its memory with what there is, every few seconds and as an event of its process: one
 * that stands still looks when it goes on. What is different for longer than a change travels is not seen.
 */
export class Sight {
  readonly #options: SightOptions;
  readonly #blindFor = new Set<string>();
  #isReady = false;

  constructor(options: SightOptions) {
    this.#options = options;
    this.#look();
  }

  /** Compares once more, when all has been quiet for long: now nothing may be different. */
  compare(): void {
    const { history, name: operator } = this.#options;
    for (const { resource, difference } of this.#differences()) {
      history.note({ kind: "CacheCompared", operator, resource, difference });
    }
  }

  #look(): void {
    const { process, history, name: operator, operator: program } = this.#options;
    for (const { resource, difference } of this.#differences()) {
      const holds = difference === null;
      if (holds !== this.#blindFor.has(resource)) continue;
      if (holds) this.#blindFor.delete(resource);
      else this.#blindFor.add(resource);
      history.note({ kind: "Sight", operator, resource, holds });
    }
    const isReady =
      readyFaults({ watches: program.caches.needed, now: process.scheduler.now - process.madeAt }).length === 0;
    if (isReady !== this.#isReady) history.note({ kind: "Ready", operator, holds: isReady });
    this.#isReady = isReady;
    process.scheduler.after(process, lookEveryMs, () => this.#look(), "background");
  }

  #differences(): readonly Readonly<{ resource: string; difference: string | null }>[] {
    const { operator, api, runs } = this.#options;
    const { caches } = operator;
    const pictures = [
      { resource: runs, cache: caches.runs },
      { resource: pods, cache: caches.pods },
      { resource: claims, cache: caches.claims },
      ...(caches.nodes === undefined ? [] : [{ resource: nodes, cache: caches.nodes }]),
    ];
    return pictures.map(({ resource, cache }) => {
      const there = api.store.list(resource, undefined).map(({ object }) => object);
      const shown = resource.plural === pods.plural ? there.filter(isOfRun) : there;
      return { resource: resource.plural, difference: differenceOf(cache.all(), shown) };
    });
  }
}

function isOfRun({ metadata }: KubeObject): boolean {
  return metadata.labels?.[labels.run] !== undefined;
}

function differenceOf(seen: readonly KubeObject[], there: readonly KubeObject[]): string | null {
  const versions = new Map(there.map(({ metadata }) => [metadata.uid, metadata]));
  for (const { metadata } of seen) {
    const current = versions.get(metadata.uid);
    if (current === undefined) return `${keyIn(metadata)} is gone`;
    const { resourceVersion } = current;
    if (resourceVersion !== metadata.resourceVersion) {
      return `${keyIn(metadata)} is seen as of ${metadata.resourceVersion}, and ${resourceVersion} is the newest`;
    }
    versions.delete(metadata.uid);
  }
  const [missed] = versions.values();
  return missed === undefined ? null : `${keyIn(missed)} is not seen`;
}
