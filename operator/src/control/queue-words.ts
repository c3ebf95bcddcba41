import type { ObservedPod } from "../core/observed.ts";
import type { Bound, Query } from "../kubernetes/client.ts";
import { type ProblemEvents, rereadMs, type Told } from "./problem-events.ts";

/** A pod that its queue holds back, and what its run says of that already; empty where it says nothing. */
export type QueuedPod = Pick<ObservedPod, "uid" | "name" | "queueGroup"> & Readonly<{ told: string }>;

// A namespace in which pods wait, and what each of them was told:
//
//            its first pod asks              read, or failed
//   (none) ─────────────────────► Reading ─────────────────────► Known ──(a quarter minute, and its turn)──► Reading
//      ▲                       the pass that began                 │
//      │                       it may wait for it                  │
//      └──────────────── its last pod is forgotten ────────────────┘

/**
 * Why queues have not let pods go yet. What Kueue says of a whole namespace is read at once, for many pods may wait there,
 * and one pass alone waits for that, with all pods of its gang, where it knows nothing yet: all others that come meanwhile
 * are told what is known, for if they waited as well, however many workers there are, none would be left for another run.
 *
 * What a pod was told, also by an operator that led before, stays what it was until Kueue says something else of it: events
 * go after an hour, and a read may fail or end halfway. And it says something else seldom, for it stands in a status, of
 * which there may be thousands: amounts are left out, which change whenever somebody else comes or goes, and another reason
 * is taken over every ten minutes.
 */
export class QueueWords {
  readonly #events: Pick<ProblemEvents, "takeTurn" | "read">;
  readonly #now: () => number;
  readonly #queues = new Map<string, Queue>();
  /** By the uid of each pod that waits. */
  readonly #namespaces = new Map<string, string>();

  constructor(events: Pick<ProblemEvents, "takeTurn" | "read">, now: () => number) {
    this.#events = events;
    this.#now = now;
  }

  /** Why its queue has not let the pod go yet; empty where it has not said. */
  async of(pod: QueuedPod, namespace: string, bound: Bound): Promise<string> {
    const queue = this.#enter(pod, namespace);
    if (queue.reading === undefined && this.#now() - queue.readAt >= rereadMs && this.#events.takeTurn(namespace)) {
      queue.readAt = this.#now();
      const done = this.#read(queue, namespace, bound).finally(() => {
        queue.reading = undefined;
      });
      queue.reading = { by: bound.signal, done };
    }
    if (queue.reading?.by === bound.signal && this.#wordsFor(pod, queue) === "") await queue.reading.done;
    bound.signal.throwIfAborted();
    return this.#wordsFor(pod, queue);
  }

  /** The pod waits no longer, or is gone. */
  forget(uid: string): void {
    const namespace = this.#namespaces.get(uid);
    if (namespace === undefined) return;
    this.#namespaces.delete(uid);
    const queue = this.#queues.get(namespace);
    queue?.pods.delete(uid);
    if (queue?.pods.size === 0) this.#queues.delete(namespace);
  }

  #enter({ uid, told }: QueuedPod, namespace: string): Queue {
    const queue = this.#queues.get(namespace) ?? {
      readAt: Number.NEGATIVE_INFINITY,
      reading: undefined,
      told: new Map(),
      pods: new Map(),
    };
    this.#queues.set(namespace, queue);
    this.#namespaces.set(uid, namespace);
    if (!queue.pods.has(uid)) queue.pods.set(uid, { words: told, since: Number.NEGATIVE_INFINITY });
    return queue;
  }

  /** A read that fails is one as well: what is known stays, and it is not asked again at once. */
  async #read(queue: Queue, namespace: string, bound: Bound): Promise<void> {
    const events = await this.#events.read(namespace, queueSays, bound);
    if (events !== undefined) queue.told = newestByName(events);
  }

  #wordsFor(pod: QueuedPod, { told, pods }: Queue): string {
    const words = told.get(pod.queueGroup ?? soleName(pod.name));
    const known = pods.get(pod.uid);
    // It was let go while its queue was asked.
    if (known === undefined) return words ?? "";
    if (words === undefined || words === known.words || this.#now() - known.since < steadyMs) return known.words;
    pods.set(pod.uid, { words, since: this.#now() });
    return words;
  }
}

type Known = Readonly<{ words: string; since: number }>;

type Queue = {
  readAt: number;
  /** The read that is under way, and the pass that began it. It never fails. */
  reading: Readonly<{ by: AbortSignal; done: Promise<void> }> | undefined;
  /** What was said last, by the name of what Kueue keeps for a pod or its group. */
  told: ReadonlyMap<string, string>;
  /** What each pod that waits was told, by its uid. */
  readonly pods: Map<string, Known>;
};

/** Kueue's scheduler says why it passed something over. */
const queueSays: Query = { fieldSelector: "regarding.kind=Workload,reason=Pending", limit: "500" };
const steadyMs = 600_000;

/**
 * Kueue keeps an object for a group under the group's name, and for a pod that waits alone under `pod-<its name>-` and a
 * few letters and figures that tell pods of one name apart: both may be asked for.
 */
function newestByName(events: readonly Told[]): ReadonlyMap<string, string> {
  const newest = new Map<string, string>();
  for (const { regarding, note = "" } of events) {
    const name = regarding?.name;
    if (name === undefined || note === "") continue;
    const sole = `${name.slice(0, name.lastIndexOf("-") + 1)}${anyLetters}`;
    for (const key of [name, sole]) newest.set(key, steady(note));
  }
  return newest;
}

/** Stands in no name. */
const anyLetters = "*";

function soleName(pod: string): string {
  return `pod-${pod}-${anyLetters}`;
}

/** What Kueue says without the amounts that are others' doing: how much is taken just now, and by how many. */
function steady(note: string): string {
  return note
    .replace(/, [\w.]+ more needed/g, ", more needed")
    .replace(/\bonly \d+ out of /g, "only a part of ")
    .replace(/ \d+ workload\(s\)/g, " other workloads");
}
