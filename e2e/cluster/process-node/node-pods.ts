import { admit } from "./pod/admission.ts";
import type { Pod } from "./pod/pod.ts";
import type { PodHome } from "./pod/pod-home.ts";
import { PodRunner } from "./pod/pod-runner.ts";
import type { PodListener } from "./pod-watch.ts";

/** All pods of a node, by uid. */
export class NodePods implements PodListener {
  readonly #home: PodHome;
  readonly #runners = new Map<string, PodRunner>();

  constructor(home: PodHome) {
    this.#home = home;
  }

  readonly onError = (error: unknown): void => this.#home.onError(error);

  /** A pod is new here, or changed. */
  readonly onPod = (pod: Pod): void => {
    this.#home.gate
      .pass()
      .then(() => this.#take(pod))
      .catch(this.onError);
  };

  /** The object is gone; with it goes what runs of the pod, within the grace period that it had. */
  readonly onGone = (uid: string): void => {
    this.#home.gate
      .pass()
      .then(() => this.#drop(uid))
      .catch(this.onError);
  };

  /** The runner of a pod. @throws {Error} when the node has no such pod. */
  find(uid: string): PodRunner {
    const runner = this.#runners.get(uid);
    if (runner === undefined) throw new Error(`Cannot find pod ${uid} on node ${this.#home.nodeName}`);
    return runner;
  }

  /** The runner of a pod by its name. */
  findByName(namespace: string, name: string): PodRunner | undefined {
    return [...this.#runners.values()].find(
      ({ pod }) => pod.metadata.namespace === namespace && pod.metadata.name === name,
    );
  }

  /** Ends a pod for want of memory, in the kubelet's words. */
  evictForPressure(uid: string): void {
    this.find(uid).evict({ reason: "Evicted", message: "The node was low on resource: memory." });
  }

  /** Stops time for the node and all its containers. */
  freeze(): void {
    this.#home.gate.close();
    for (const runner of this.#runners.values()) runner.signalAll("SIGSTOP");
  }

  /** Lets time go on. */
  thaw(): void {
    for (const runner of this.#runners.values()) runner.signalAll("SIGCONT");
    this.#home.gate.open();
  }

  /** Kills what runs; resolves when nothing does. */
  async kill(): Promise<void> {
    for (const runner of this.#runners.values()) runner.kill();
    await Promise.all([...this.#runners.values()].map((runner) => runner.finished()));
  }

  #take(pod: Pod): void {
    if (this.#home.signal.aborted) return;
    const known = this.#runners.get(pod.metadata.uid);
    if (known !== undefined) {
      known.update(pod);
      return;
    }
    const isOver = pod.status.phase === "Succeeded" || pod.status.phase === "Failed";
    if (isOver && pod.metadata.deletionTimestamp === undefined) return;
    const active = [...this.#runners.values()].filter((runner) => runner.isActive).map((runner) => runner.pod);
    const runner = new PodRunner(pod, this.#home);
    this.#runners.set(pod.metadata.uid, runner);
    runner.start(admit(pod, { active, nodeName: this.#home.nodeName, allocatable: this.#home.capacity }));
  }

  #drop(uid: string): void {
    const runner = this.#runners.get(uid);
    if (runner === undefined) return;
    runner.vanish();
    const forget = () => {
      this.#runners.delete(uid);
      this.#home.events.forget(uid);
    };
    runner.remove().then(forget, (error: unknown) => {
      forget();
      this.#home.onError(error);
    });
  }
}
