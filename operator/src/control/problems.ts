import type { ApiClient, Bound } from "../kubernetes/client.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { events } from "../kubernetes/resource.ts";
import type { Log } from "./log.ts";

export type ClaimProblemsOptions = Readonly<{ client: ApiClient; log: Log; now: () => number }>;

/**
 * What the cluster says about a claim that does not bind. Provisioners say it only in events, which are read
 * for such claims alone, and at most every quarter minute each. It is a diagnosis: where it cannot be had, in a
 * namespace whose events may not be read or from a server in trouble, everything goes on without.
 */
export class ClaimProblems {
  readonly #options: ClaimProblemsOptions;
  readonly #known = new Map<string, Readonly<{ words: string; readAt: number }>>();
  #saidSo = false;

  constructor(options: ClaimProblemsOptions) {
    this.#options = options;
  }

  /** The newest warning about the claim; empty where it is bound or nothing was said. */
  async of(claim: KubeObject, bound: Bound): Promise<string> {
    const { uid, namespace } = claim.metadata;
    if ((claim.status as { phase?: string } | undefined)?.phase !== "Pending") {
      this.#known.delete(uid);
      return "";
    }
    const known = this.#known.get(uid);
    if (known !== undefined && this.#options.now() - known.readAt < rereadMs) return known.words;
    const warnings = await this.#warnings({ uid, namespace }, bound);
    const words = warnings === undefined ? (known?.words ?? "") : (newest(warnings)?.note ?? "");
    this.#known.set(uid, { words, readAt: this.#options.now() });
    return words;
  }

  /** Undefined where they could not be read, which is said once until it works again. */
  async #warnings(
    { uid, namespace }: Readonly<{ uid: string; namespace: string | undefined }>,
    { signal }: Bound,
  ): Promise<readonly Warning[] | undefined> {
    const { client, log } = this.#options;
    const query = { fieldSelector: `regarding.uid=${uid},type=Warning`, limit: "50" };
    const bound = { signal: AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]) };
    try {
      const { items } = await client.list<Warning>({ resource: events, namespace }, query, bound);
      this.#saidSo = false;
      return items;
    } catch (error) {
      if (signal.aborted) throw error;
      if (!this.#saidSo)
        log("warn", "events of claims cannot be read: why a claim does not bind is not told", { error });
      this.#saidSo = true;
      return undefined;
    }
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
/** A pass does not wait longer for a diagnosis. */
const patienceMs = 2_000;

function newest(warnings: readonly Warning[]): Warning | undefined {
  return [...warnings].sort((a, b) => timeOf(a) - timeOf(b)).at(-1);
}

function timeOf(warning: Warning): number {
  const time = warning.series?.lastObservedTime ?? warning.deprecatedLastTimestamp ?? warning.eventTime;
  return Date.parse(time ?? warning.metadata.creationTimestamp ?? "") || 0;
}
