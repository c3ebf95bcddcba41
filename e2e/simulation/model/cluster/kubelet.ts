import { pods } from "@trainingrun/operator/kubernetes/resource.ts";
import { fieldsOf, keyIn, listOf, type StoredObject } from "../api/object.ts";
import type { KubeletHome } from "./kubelet-home.ts";
import { PodLife } from "./pod-life.ts";

/** Runs the pods of one node, as far as the API server says so and can be heard. */
export class Kubelet {
  readonly #home: KubeletHome;
  readonly #lives = new Map<string, PodLife>();
  readonly #asked = new Set<string>();

  constructor(home: KubeletHome) {
    this.#home = home;
    home.api.store.listen((resource, { object }) => {
      if (resource.plural === pods.plural && fieldsOf(object.spec).nodeName === home.machine.name) {
        this.#ask(keyIn(object.metadata));
      }
    });
  }

  /** The pod of a uid, as it is on this node. */
  life(uid: string): PodLife | undefined {
    return this.#lives.get(uid);
  }

  /** The pods that have not ended here. */
  get running(): readonly PodLife[] {
    return [...this.#lives.values()].filter(({ hasEnded }) => !hasEnded);
  }

  /** Looks at everything anew: a kubelet that was cut off hears what it has missed. */
  catchUp(): void {
    const { api, machine } = this.#home;
    for (const { object } of api.store.list(pods, undefined)) {
      if (fieldsOf(object.spec).nodeName === machine.name) this.#ask(keyIn(object.metadata));
    }
    for (const { pod } of this.#lives.values()) this.#ask(keyIn(pod.metadata));
  }

  /** What ran here is gone with the machine. */
  forgetAll(): void {
    this.#lives.clear();
    this.#asked.clear();
  }

  #ask(key: string): void {
    if (this.#asked.has(key)) return;
    this.#asked.add(key);
    const { machine, delays } = this.#home;
    machine.later(delays.ms("hear", key), () => this.#look(key));
  }

  #look(key: string): void {
    this.#asked.delete(key);
    const { api, machine } = this.#home;
    if (!machine.isHeard) return;
    const object = api.store.get(pods, key)?.object;
    for (const [uid, life] of this.#lives) {
      if (keyIn(life.pod.metadata) !== key || uid === object?.metadata.uid) continue;
      life.vanish();
      if (life.hasEnded) this.#lives.delete(uid);
    }
    if (object === undefined || fieldsOf(object.spec).nodeName !== machine.name) return;
    const life = this.#lives.get(object.metadata.uid) ?? this.#begin(object);
    life?.update(object);
  }

  /** A pod that has ended before is nothing to start. */
  #begin(object: StoredObject): PodLife | undefined {
    const { phase } = fieldsOf(object.status);
    if (phase === "Succeeded" || phase === "Failed") return undefined;
    const life = new PodLife(object, this.#home);
    this.#lives.set(object.metadata.uid, life);
    if (hasRun(object)) life.lose();
    else life.start();
    return life;
  }
}

/** Whether a container of the pod has been started, by the kubelet of an earlier life of the node. */
function hasRun({ status }: StoredObject): boolean {
  const { initContainerStatuses, containerStatuses } = fieldsOf(status);
  const told = [...listOf(initContainerStatuses), ...listOf(containerStatuses)].map(fieldsOf);
  return told.some(({ containerID }) => containerID !== undefined);
}
