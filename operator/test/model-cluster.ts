import type { CheckpointSummary } from "@trainingrun/checkpoint/contract/checkpoint-summary.ts";
import type { AgentReport } from "../src/core/observed.ts";
import { ModelNodes } from "./model-nodes.ts";
import { type End, type ModelPod, preempted, reportOf, summary, targetStep } from "./model-pod.ts";
import { type Fields, start } from "./run-builder.ts";

/**
 * The pods of a run in the model, what kubelets and trainers do with them, and the volume that they save on. The workers of
 * an attempt take steps and save together, or not at all; what befalls one of them befalls the next one next time.
 */
export class ModelCluster {
  now = start;
  readonly pods = new Map<string, ModelPod>();
  readonly nodes = new ModelNodes();
  /** What runs on a silent node although its object is gone. */
  zombies: readonly ModelPod[] = [];
  /** Checkpoints that count, newest first. */
  disk: readonly CheckpointSummary[] = [];
  /** Those that were appended below a newer attempt's opening. */
  readonly voided: CheckpointSummary[] = [];
  readonly creates: string[] = [];
  readonly deletes: string[] = [];
  readonly accounted: string[] = [];
  /** The highest attempt that has opened the log: what a lower one appends is void. */
  #opened = 0;
  readonly #counted = new Set<string>();
  #turn = 0;
  readonly #workersOf: (attempt: number) => number;

  /** `workersOf`: how many pods an attempt has. */
  constructor(workersOf: (attempt: number) => number) {
    this.#workersOf = workersOf;
  }

  alive(): ModelPod[] {
    return [...this.pods.values()].filter((pod) => pod.finishedAt === null);
  }

  /** What the agents that are heard answer. */
  reports(): AgentReport[] {
    const { disk, now, nodes } = this;
    return this.alive().flatMap((pod) => {
      if (pod.node === nodes.silent) return nodes.lastReports.filter(({ podUid }) => podUid === pod.uid);
      return pod.started ? [reportOf(pod, { disk, now })] : [];
    });
  }

  create(meta: Fields & { name: string }): void {
    if (this.pods.has(meta.name)) return;
    this.creates.push(meta.name);
    const labels = meta.labels as Fields;
    const worker = Number(labels["trainingrun.dev/worker"]);
    this.pods.set(meta.name, {
      name: meta.name,
      uid: `uid-of-${meta.name}-${this.creates.filter((name) => name === meta.name).length}`,
      attempt: Number(labels["trainingrun.dev/attempt"]),
      worker,
      node: this.nodes.placeOf(worker),
      labels,
      owned: true,
      finalizers: meta.finalizers as string[],
      deletedAt: null,
      forced: false,
      disruption: null,
      started: false,
      step: 0,
      steppedAt: this.now,
      resumedFrom: null,
      trainerEnd: null,
      done: null,
      finishedAt: null,
    });
  }

  delete(pod: ModelPod): void {
    if (pod.deletedAt !== null) return;
    pod.deletedAt = this.now;
    this.deletes.push(pod.name);
    this.#collect(pod);
  }

  removeByForce(pod: ModelPod): void {
    if (pod.forced) return;
    pod.deletedAt ??= this.now;
    pod.forced = true;
    this.deletes.push(`${pod.name} by force`);
    this.#collect(pod);
  }

  release(pod: ModelPod): void {
    if (pod.finalizers.length > 0) this.accounted.push(pod.uid);
    pod.finalizers = [];
    this.#collect(pod);
  }

  /** Everything that can befall the pods. Each is a no-op where it does not apply. */
  readonly events = {
    tick: () => {
      this.now += 7_000;
    },
    /** Worker 0 opens the log; the others start from where it does. */
    start: () => {
      for (const pod of this.#tended().toSorted((a, b) => a.worker - b.worker)) {
        const leader = pod.worker === 0 ? pod : this.#group(pod).find(({ worker }) => worker === 0);
        if (pod.started || pod.deletedAt !== null || leader === undefined) continue;
        if (pod === leader) {
          this.#opened = Math.max(this.#opened, pod.attempt);
          pod.resumedFrom = this.disk[0] ?? null;
        } else pod.resumedFrom = leader.resumedFrom;
        pod.started = true;
        pod.step = pod.resumedFrom?.step ?? 0;
      }
    },
    train: () => {
      for (const pod of this.#running()) {
        // A node that hears nothing does not hear of a deletion either.
        const isStopping = this.#group(pod).some(
          ({ deletedAt, node }) => deletedAt !== null && node !== this.nodes.silent,
        );
        if (isStopping || !this.#isWhole(pod)) continue;
        pod.step = Math.min(targetStep, pod.step + 17);
        pod.steppedAt = this.now;
      }
    },
    save: () => {
      for (const pod of this.#running()) if (this.#isWhole(pod)) this.#save(pod);
    },
    crash: () => {
      for (const pod of this.#struck(this.#tended())) {
        if (pod.started) this.#end(pod, { exitCode: 1, message: "Traceback" });
      }
    },
    outOfMemory: () => {
      for (const pod of this.#struck(this.#tended())) {
        if (pod.started) this.#end(pod, { exitCode: 137, reason: "OOMKilled", message: "" });
      }
    },
    evict: () => {
      for (const pod of this.#struck(this.alive())) {
        pod.disruption ??= "EvictionByEvictionAPI";
        this.delete(pod);
      }
    },
    deleteByHand: () => {
      for (const pod of this.#struck(this.alive())) this.delete(pod);
    },
    stripFinalizer: () => {
      for (const pod of this.#struck(this.alive())) {
        pod.finalizers = [];
        this.delete(pod);
        this.#vanish(pod);
      }
    },
    terminate: () => this.#terminate(this.#tended()),
    /** A kubelet that is faster than the others. */
    terminateOne: () => this.#terminate(this.#struck(this.#tended())),
    finish: () => {
      for (const pod of this.#tended()) if (pod.worker === 0) this.#finish(pod);
    },
    /** The node of a pod is not heard of any more, and what runs there goes on. */
    silence: () => {
      for (const { node } of this.#struck(this.alive())) this.nodes.silence(node, this.now, this.reports());
    },
    /** It is heard of again, and its kubelet ends what the API has no object of any more. */
    thaw: () => {
      this.nodes.thaw();
      this.zombies = [];
    },
  };

  /** Those that a kubelet acts on and tells of. */
  #tended(): ModelPod[] {
    return this.alive().filter(({ node }) => this.nodes.silent !== node);
  }

  #running(): ModelPod[] {
    return [...this.alive(), ...this.zombies].filter(({ started }) => started);
  }

  /** What runs of an attempt, a pod of which is given. */
  #group({ attempt }: ModelPod): ModelPod[] {
    return this.#running().filter((each) => each.attempt === attempt);
  }

  #isWhole(pod: ModelPod): boolean {
    return this.#group(pod).length === this.#workersOf(pod.attempt);
  }

  /** One of them, by turns. */
  #struck(pods: readonly ModelPod[]): readonly ModelPod[] {
    if (pods.length === 0) return [];
    this.#turn += 1;
    const at = this.#turn % pods.length;
    return pods.slice(at, at + 1);
  }

  /** What was saved counts once worker 0 has committed it. */
  #save(pod: ModelPod): void {
    if (pod.worker !== 0) return;
    const saved = summary(pod.step, pod.attempt);
    const isVoid = pod.attempt < this.#opened;
    if (isVoid && !this.#counted.has(saved.digest)) this.voided.push(saved);
    if (isVoid || pod.step <= (this.disk[0]?.step ?? 0)) return;
    this.#counted.add(saved.digest);
    this.disk = [saved, ...this.disk].slice(0, 4);
  }

  /** A gang can save once more only where all of it is asked to stop together. */
  #terminate(pods: readonly ModelPod[]): void {
    const asked = pods.filter(({ deletedAt }) => deletedAt !== null);
    const saving = new Set(
      asked.filter((pod) => this.#isWhole(pod) && this.#group(pod).every((peer) => asked.includes(peer))),
    );
    for (const pod of asked) {
      if (saving.has(pod)) this.#save(pod);
      this.#end(pod, preempted(pod, saving.has(pod)));
    }
  }

  /** All save at the last step; then the other workers end, and worker 0 with the next call. */
  #finish(leader: ModelPod): void {
    if (!leader.started || leader.step < targetStep || leader.deletedAt !== null) return;
    const peers = [...this.pods.values()].filter(({ attempt }) => attempt === leader.attempt);
    const isWell = ({ deletedAt, trainerEnd, node }: ModelPod) =>
      trainerEnd === null ? deletedAt === null && node !== this.nodes.silent : trainerEnd.exitCode === 0;
    if (peers.length < this.#workersOf(leader.attempt) || !peers.every(isWell)) return;
    const others = peers.filter((pod) => pod !== leader && pod.finishedAt === null);
    if (this.#isWhole(leader)) this.#save(leader);
    for (const pod of others) this.#end(pod, { exitCode: 0, message: "" });
    if (others.length > 0) return;
    const checkpoint = this.disk[0]?.digest ?? "";
    leader.done = checkpoint;
    const { attempt, step } = leader;
    const message = JSON.stringify({ kind: "done", attempt, step, checkpoint, metrics: [] });
    this.#end(leader, { exitCode: 0, message });
  }

  #end(pod: ModelPod, trainerEnd: End): void {
    pod.trainerEnd = trainerEnd;
    pod.finishedAt = this.now;
    this.#collect(pod);
  }

  #collect(pod: ModelPod): void {
    if (pod.deletedAt !== null && (pod.finishedAt !== null || pod.forced) && pod.finalizers.length === 0)
      this.#vanish(pod);
  }

  /** The object goes; its containers with it, where a kubelet hears of that. */
  #vanish(pod: ModelPod): void {
    this.pods.delete(pod.name);
    if (pod.finishedAt === null && pod.node === this.nodes.silent) this.zombies = [...this.zombies, pod];
  }
}
