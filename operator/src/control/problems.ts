import type { ObservedPod } from "../core/observed.ts";
import { Allowance } from "../kubernetes/allowance.ts";
import type { ApiClient, Bound, Query } from "../kubernetes/client.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { events } from "../kubernetes/resource.ts";
import type { Log } from "./log.ts";

export type ProblemsOptions = Readonly<{
  client: ApiClient;
  log: Log;
  /** Milliseconds of a clock that nobody sets. */
  now?: () => number;
}>;

/**
 * What the cluster says about a claim that does not bind and a pod whose containers are not made. Provisioners and
 * kubelets say it only in events, which are read for such objects alone, at most every quarter minute each, and in one
 * namespace at most once a second: for each read the API server looks through all events that the namespace has. It is
 * a diagnosis: where it cannot be had, in a namespace whose events may not be read or from a server in trouble,
 * everything goes on without.
 */
export class Problems {
  readonly #options: ProblemsOptions;
  readonly #now: () => number;
  readonly #reads = new Allowance({ burst: 10, refillMs: 1_000, mostThings: 1_024 });
  readonly #known = new Map<string, Readonly<{ words: string; readAt: number }>>();
  readonly #queues = new Map<string, Readonly<{ told: readonly Told[]; readAt: number }>>();
  #saidSo = false;

  constructor(options: ProblemsOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** The newest warning about the claim; empty where it is bound or nothing was said. */
  async ofClaim(claim: KubeObject, bound: Bound): Promise<string> {
    const { uid, namespace } = claim.metadata;
    if ((claim.status as { phase?: string } | undefined)?.phase !== "Pending") {
      this.forget(uid);
      return "";
    }
    return await this.#words({ uid, namespace }, newestWarning, bound);
  }

  /** What keeps the pod's containers from being made; empty where nothing was said, or the pod has got on since. */
  async ofPod({ uid }: Pick<ObservedPod, "uid">, namespace: string, bound: Bound): Promise<string> {
    return await this.#words({ uid, namespace }, presentWarning, bound);
  }

  /**
   * Why its queue has not let the pod go yet; empty where it has not said. Kueue says it of an object that it keeps for the
   * pod and that is named after it, or after its group. What it says of a whole namespace is read at once: many pods may
   * wait there.
   */
  async ofQueued(pod: Pick<ObservedPod, "name" | "queueGroup">, namespace: string, bound: Bound): Promise<string> {
    const known = this.#queues.get(namespace);
    const isFresh = known !== undefined && this.#now() - known.readAt < rereadMs;
    const told = isFresh ? known.told : await this.#read(namespace, queueSays, bound);
    if (told === undefined) return "";
    if (!isFresh) this.#queues.set(namespace, { told, readAt: this.#now() });
    return told.findLast(({ regarding }) => isKeptFor(pod, regarding?.name ?? ""))?.note ?? "";
  }

  /** The object has got on, or is gone. */
  forget(uid: string): void {
    this.#known.delete(uid);
  }

  async #words(object: Subject, choose: (told: readonly Told[]) => Told | undefined, bound: Bound): Promise<string> {
    const { uid } = object;
    const known = this.#known.get(uid);
    if (known !== undefined && this.#now() - known.readAt < rereadMs) return known.words;
    if (!this.#reads.take(object.namespace ?? "", this.#now())) return known?.words ?? "";
    const told = await this.#read(object.namespace, { fieldSelector: `regarding.uid=${uid}`, limit: "50" }, bound);
    const words = told === undefined ? (known?.words ?? "") : (choose(told)?.note ?? "");
    this.#known.set(uid, { words, readAt: this.#now() });
    return words;
  }

  /** The events chosen, the newest last. Undefined where they could not be read, which is said once until it works again. */
  async #read(namespace: string | undefined, query: Query, { signal }: Bound): Promise<readonly Told[] | undefined> {
    const { client, log } = this.#options;
    const bound = { signal: AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]), purpose: "Work" } as const;
    try {
      const told = await readPages(client, { namespace, query }, bound);
      this.#saidSo = false;
      return told.toSorted((a, b) => timeOf(a) - timeOf(b));
    } catch (error) {
      if (signal.aborted) throw error;
      const unknown = "why a claim does not bind, or a pod is not started, is not told";
      if (!this.#saidSo) log("warn", `events cannot be read: ${unknown}`, { error });
      this.#saidSo = true;
      return undefined;
    }
  }
}

type Subject = Readonly<{ uid: string; namespace: string | undefined }>;

type Told = KubeObject &
  Readonly<{
    type?: string;
    note?: string;
    regarding?: { name?: string };
    eventTime?: string | null;
    deprecatedLastTimestamp?: string | null;
    series?: { lastObservedTime?: string };
  }>;

const rereadMs = 15_000;
/** A pass does not wait longer for a diagnosis. */
const patienceMs = 2_000;
/** More would take longer than is waited. */
const mostPages = 20;

type Asked = Readonly<{ namespace: string | undefined; query: Query }>;

/** Page by page: a queue says something of every pod that waits in it. Where a later one is not to be had, the rest counts. */
async function readPages(client: ApiClient, { namespace, query }: Asked, bound: Bound): Promise<readonly Told[]> {
  const target = { resource: events, namespace };
  const { items, metadata } = await client.list<Told>(target, query, bound);
  const told = [...items];
  let next = metadata.continue;
  for (let pages = 1; next && pages < mostPages; pages += 1) {
    const page = await client.list<Told>(target, { ...query, continue: next }, bound).catch(() => undefined);
    told.push(...(page?.items ?? []));
    next = page?.metadata.continue;
  }
  return told;
}

/** Kueue's scheduler says why it passed something over. */
const queueSays: Query = { fieldSelector: "regarding.kind=Workload,reason=Pending", limit: "500" };

/** The name of its group, or else `pod-<its name>-` and a few letters and figures that tell pods of one name apart. */
function isKeptFor({ name, queueGroup }: Pick<ObservedPod, "name" | "queueGroup">, kept: string): boolean {
  if (queueGroup !== null) return kept === queueGroup;
  const prefix = `pod-${name}-`;
  return kept.startsWith(prefix) && !kept.slice(prefix.length).includes("-");
}

const isWarning = ({ type }: Told) => type === "Warning";

/** Provisioners repeat what they wait for in normal events, so those take nothing back. */
function newestWarning(told: readonly Told[]): Told | undefined {
  return told.findLast(isWarning);
}

/**
 * The kubelet's next normal event takes its warnings back: it has begun to pull an image, say. Now and then it sums up
 * that volumes are missing; the words about the one that is are the better ones, and stay the same.
 */
function presentWarning(told: readonly Told[]): Told | undefined {
  const warnings = told.slice(told.findLastIndex((event) => !isWarning(event)) + 1);
  return warnings.findLast(({ note }) => note?.startsWith("MountVolume.")) ?? warnings.at(-1);
}

function timeOf(event: Told): number {
  const time = event.series?.lastObservedTime ?? event.deprecatedLastTimestamp ?? event.eventTime;
  return Date.parse(time ?? event.metadata.creationTimestamp ?? "") || 0;
}
