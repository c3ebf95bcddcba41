import type { ObservedPod } from "../core/observed.ts";
import type { Bound } from "../kubernetes/client.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { ProblemEvents, type ProblemEventsOptions, rereadMs, type Told } from "./problem-events.ts";
import { type QueuedPod, QueueWords } from "./queue-words.ts";

export type ProblemsOptions = Omit<ProblemEventsOptions, "now"> & Partial<Pick<ProblemEventsOptions, "now">>;

/**
 * What the cluster says about a claim that does not bind, a pod whose containers are not made, and one that its queue holds
 * back. Provisioners, kubelets and queues say it only in events, which are read for such objects alone, at most every
 * quarter minute each. It is a diagnosis: where it cannot be had, in a namespace whose events may not be read or from a
 * server in trouble, everything goes on without.
 */
export class Problems {
  readonly #events: ProblemEvents;
  readonly #queues: QueueWords;
  readonly #now: () => number;
  readonly #known = new Map<string, Readonly<{ words: string; readAt: number }>>();

  constructor({ now = () => performance.now(), ...options }: ProblemsOptions) {
    this.#now = now;
    this.#events = new ProblemEvents({ ...options, now });
    this.#queues = new QueueWords(this.#events, now);
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

  /** Why its queue has not let the pod go yet; empty where it has not said. */
  async ofQueued(pod: QueuedPod, namespace: string, bound: Bound): Promise<string> {
    return await this.#queues.of(pod, namespace, bound);
  }

  /** The object has got on, or is gone. */
  forget(uid: string): void {
    this.#known.delete(uid);
    this.#queues.forget(uid);
  }

  async #words(object: Subject, choose: (told: readonly Told[]) => Told | undefined, bound: Bound): Promise<string> {
    const { uid, namespace } = object;
    const known = this.#known.get(uid) ?? { words: "", readAt: Number.NEGATIVE_INFINITY };
    const now = this.#now();
    if (now - known.readAt < rereadMs || !this.#events.takeTurn(namespace)) return known.words;
    // A read that fails is one as well.
    this.#known.set(uid, { ...known, readAt: now });
    const told = await this.#events.read(namespace, { fieldSelector: `regarding.uid=${uid}`, limit: "50" }, bound);
    bound.signal.throwIfAborted();
    if (told === undefined) return known.words;
    const words = choose(told)?.note ?? "";
    // It may have gone while it was asked about.
    if (this.#known.has(uid)) this.#known.set(uid, { words, readAt: now });
    return words;
  }
}

type Subject = Readonly<{ uid: string; namespace: string | undefined }>;

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
