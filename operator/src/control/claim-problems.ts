import type { ApiClient, Bound } from "../kubernetes/client.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { events } from "../kubernetes/resource.ts";

/**
 * What the cluster says about a claim that does not bind. Provisioners say it only in events, which are read
 * for such claims alone, and at most every quarter minute each.
 */
export class ClaimProblems {
  readonly #client: ApiClient;
  readonly #now: () => number;
  readonly #known = new Map<string, Readonly<{ words: string; readAt: number }>>();

  constructor(client: ApiClient, now: () => number) {
    this.#client = client;
    this.#now = now;
  }

  /** The newest warning about the claim; empty where it is bound or nothing was said. */
  async of(claim: KubeObject, bound: Bound): Promise<string> {
    const { uid, namespace } = claim.metadata;
    if ((claim.status as { phase?: string } | undefined)?.phase !== "Pending") {
      this.#known.delete(uid);
      return "";
    }
    const known = this.#known.get(uid);
    if (known !== undefined && this.#now() - known.readAt < rereadMs) return known.words;
    const query = { fieldSelector: `regarding.uid=${uid},type=Warning`, limit: "50" };
    const page = await this.#client.list<Warning>({ resource: events, namespace }, query, bound);
    const words = newest(page.items)?.note ?? "";
    this.#known.set(uid, { words, readAt: this.#now() });
    return words;
  }
}

type Warning = KubeObject &
  Readonly<{
    note?: string;
    eventTime?: string | null;
    deprecatedLastTimestamp?: string | null;
    series?: { lastObservedTime?: string };
  }>;

const rereadMs = 15_000;

function newest(warnings: readonly Warning[]): Warning | undefined {
  return [...warnings].sort((a, b) => timeOf(a) - timeOf(b)).at(-1);
}

function timeOf(warning: Warning): number {
  const time = warning.series?.lastObservedTime ?? warning.deprecatedLastTimestamp ?? warning.eventTime;
  return Date.parse(time ?? warning.metadata.creationTimestamp ?? "") || 0;
}
