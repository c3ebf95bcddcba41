import { pods } from "@trainingrun/operator/kubernetes/resource.ts";
import type { Pod } from "../../../cluster/process-node/pod/pod.ts";
import { conditionsOf, type PodSnapshot, statusFields } from "../../../cluster/process-node/pod/pod-status.ts";
import { Refusal } from "../api/answers.ts";
import { type Fields, fieldsOf, listOf, timestamp } from "../api/object.ts";
import type { KubeletHome } from "./kubelet-home.ts";

const unheardRetryMs = 1_000;

/** Tells the API server what became of a pod: soon, and as one where much has changed. */
export class StatusReport {
  readonly #pod: Pod;
  readonly #home: KubeletHome;
  readonly #read: () => PodSnapshot;
  #isAsked = false;

  constructor(pod: Pod, { home, read }: Readonly<{ home: KubeletHome; read: () => PodSnapshot }>) {
    this.#pod = pod;
    this.#home = home;
    this.#read = read;
  }

  /** Whether everything is told. */
  get isUpToDate(): boolean {
    return !this.#isAsked;
  }

  /** Has the status told soon. */
  ask(): void {
    if (this.#isAsked) return;
    this.#isAsked = true;
    const { namespace, name } = this.#pod.metadata;
    this.#home.machine.later(this.#home.delays.ms("status", `${namespace}/${name}`), () => this.#tell());
  }

  #tell(): void {
    const { machine, api, acting, actor } = this.#home;
    if (!machine.isHeard) {
      machine.later(unheardRetryMs, () => this.#tell());
      return;
    }
    this.#isAsked = false;
    const { namespace, name, uid } = this.#pod.metadata;
    const current = api.store.get(pods, `${namespace}/${name}`)?.object;
    if (current?.metadata.uid !== uid) return;
    const snapshot = this.#read();
    const conditions = this.#conditions(snapshot, listOf(fieldsOf(current.status).conditions).map(fieldsOf));
    const target = { resource: pods, namespace, name, subresource: "status" };
    const patch = { metadata: { uid }, status: { ...statusFields(snapshot), conditions } };
    try {
      acting.by(actor, () => api.patch(target, "application/merge-patch+json", patch));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.ask();
    }
  }

  /** The kubelet's own, with the time since when they hold, and those of others as they are. */
  #conditions(snapshot: PodSnapshot, before: readonly Fields[]): readonly Fields[] {
    const now = timestamp(this.#home.machine.clockMs);
    const own = conditionsOf(snapshot).map((condition): Fields => {
      const old = before.find(({ type, status }) => type === condition.type && status === condition.status);
      return { ...condition, lastTransitionTime: old?.lastTransitionTime ?? now };
    });
    return [...before.filter(({ type }) => own.every((mine) => mine.type !== type)), ...own];
  }
}
