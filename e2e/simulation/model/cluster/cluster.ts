import { pods } from "@trainingrun/operator/kubernetes/resource.ts";
import type { Luck } from "../../../../checkpoint/test/power-loss/disk.ts";
import type { Row } from "../../host/chance.ts";
import { ClaimProtection } from "../api/claim-protection.ts";
import { Collector } from "../api/collector.ts";
import type { ControllerOptions } from "../api/errands.ts";
import { NamespaceEnd } from "../api/namespace-end.ts";
import { fieldsOf, listOf, type StoredObject, timestamp } from "../api/object.ts";
import { evictPod } from "../api/pod-requests.ts";
import { cutPower } from "../disk/cut.ts";
import type { Disk } from "../disk/disk.ts";
import type { ClusterParts } from "./cluster-parts.ts";
import { Kubelet } from "./kubelet.ts";
import type { KubeletHome } from "./kubelet-home.ts";
import { Machine } from "./machine.ts";
import { NodeController } from "./node-controller.ts";
import type { PodLife } from "./pod-life.ts";
import { PodScheduler } from "./pod-scheduler.ts";
import { Queue } from "./queue.ts";
import { type Volume, Volumes } from "./volumes.ts";

/** What a cluster is made of. */
export type ClusterOptions = ClusterParts &
  Pick<KubeletHome, "programOf" | "onlooker" | "secretDisk" | "troubleOf"> &
  Readonly<{
    nodes: readonly Readonly<{ name: string; skewMs: number }>[];
    podsPerNode: number;
    makeDisk: (kind: "Local" | "Network") => Disk;
    /** A volume has lost what was not synced. */
    onPowerCut: (volume: Volume) => void;
  }>;

const user = { role: "User", name: "somebody" } as const;

/** Machines, and the controllers of a cluster that the product does not bring along. */
export class Cluster {
  readonly machines: readonly Machine[];
  readonly volumes: Volumes;
  readonly nodes: NodeController;
  readonly queue: Queue;
  readonly #parts: ClusterOptions;
  readonly #scheduler: PodScheduler;
  readonly #kubelets: ReadonlyMap<Machine, Kubelet>;
  readonly #goingDown = new Set<Machine>();
  #cuts = 0;

  constructor(options: ClusterOptions) {
    this.#parts = options;
    const { scheduler, api, podsPerNode, makeDisk } = options;
    this.machines = options.nodes.map((node, index) => new Machine(scheduler, { ...node, number: index + 1 }));
    this.volumes = new Volumes(options, (isShared) => makeDisk(isShared ? "Network" : "Local"));
    this.#scheduler = new PodScheduler(options, { volumes: this.volumes, podsPerNode });
    this.nodes = new NodeController(options, this.volumes);
    this.queue = new Queue(options);
    new Collector(api, this.#controller("garbage-collector"));
    new ClaimProtection(api, this.#controller("claim-protection"));
    new NamespaceEnd(api, this.#controller("namespace-end"));
    this.#kubelets = new Map(this.machines.map((machine) => [machine, this.#kubelet(machine)]));
    for (const machine of this.machines) this.nodes.register(machine);
  }

  /** The machine of a name. */
  machine(name: string): Machine {
    const found = this.machines.find((machine) => machine.name === name);
    if (found === undefined) throw new Error(`Cannot find the node ${name}: there are ${this.machines.length} others`);
    return found;
  }

  /** The kubelet of a machine. */
  kubelet(machine: Machine): Kubelet {
    const found = this.#kubelets.get(machine);
    if (found === undefined) throw new Error(`Cannot find the kubelet of ${machine.name}`);
    return found;
  }

  /** The pod as it is on its node, whatever the API server says of it. */
  life(pod: StoredObject): PodLife | undefined {
    const { nodeName } = fieldsOf(pod.spec);
    const machine = this.machines.find(({ name }) => name === nodeName);
    return machine === undefined ? undefined : this.kubelet(machine).life(pod.metadata.uid);
  }

  /** The pod of a uid as it is on its node. */
  lifeOf(podUid: string): PodLife | undefined {
    return this.machines.map((machine) => this.kubelet(machine).life(podUid)).find((life) => life !== undefined);
  }

  /** No node takes another pod until the function returned is called; `told` of each that finds no place. */
  closeToPods(told: () => void): () => void {
    return this.#scheduler.close(told);
  }

  /** Evicts a pod by the Eviction API. */
  evict({ metadata: { namespace = "", name, uid } }: StoredObject): void {
    const { api, acting, scheduler } = this.#parts;
    const body = { deleteOptions: { preconditions: { uid } } };
    acting.by(user, () => evictPod(api, { namespace, name }, body, scheduler.epochMs + scheduler.now));
  }

  /** The scheduler takes a pod off its node for one of higher priority. */
  preempt({ metadata: { namespace = "", name, uid } }: StoredObject): void {
    const { api, acting, scheduler } = this.#parts;
    const target = { resource: pods, namespace, name };
    const current = api.get(target).object;
    const condition = {
      type: "DisruptionTarget",
      status: "True",
      reason: "PreemptionByScheduler",
      message: "default-scheduler: preempting to accommodate a higher priority pod",
      lastTransitionTime: timestamp(scheduler.epochMs + scheduler.now),
    };
    const others = listOf(fieldsOf(current.status).conditions).filter((each) => fieldsOf(each).type !== condition.type);
    const patch = { metadata: { uid }, status: { conditions: [...others, condition] } };
    acting.by({ role: "Scheduler", name: "default-scheduler" }, () => {
      api.patch({ ...target, subresource: "status" }, "application/merge-patch+json", patch);
      api.remove(target, { uid });
    });
  }

  /** Deletes a pod as a person does: with its grace period, or at once by force. */
  deletePod(
    { metadata: { namespace, name, uid } }: StoredObject,
    how: Readonly<{ gracePeriodSeconds?: number }>,
  ): void {
    const { api, acting } = this.#parts;
    acting.by(user, () => api.remove({ resource: pods, namespace, name }, { uid, ...how }));
  }

  /** Nothing gets from the machine to the rest of the cluster, or back; what runs on it goes on. */
  cutOff(machine: Machine): void {
    machine.cutOff();
    this.nodes.watchOver(machine);
  }

  /** Everything on the machine stands still. */
  freeze(machine: Machine): void {
    machine.freeze();
    this.nodes.watchOver(machine);
  }

  /** The machine runs, and is connected, again. */
  bringBack(machine: Machine): void {
    this.#goingDown.delete(machine);
    if (machine.state === "Off") this.kubelet(machine).forgetAll();
    machine.connect();
    machine.thaw();
    machine.boot();
    this.nodes.register(machine);
    this.kubelet(machine).catchUp();
  }

  /** The machine stands again under its name, whatever became of it: it runs, is connected, and is in the cluster. */
  renew(name: string): void {
    const machine = this.machine(name);
    this.bringBack(machine);
  }

  /**
   * The machine loses its power: nothing that ran on it has heard of it, and of the volumes that only it has, what was not
   * synced is there as chance has it. What a file server has is taken to be durable.
   */
  cutPower(machine: Machine): void {
    machine.cutPower();
    for (const volume of this.volumes.onlyOn(machine.name)) {
      this.#cuts += 1;
      const row = this.#parts.scheduler.chance.row("power cut", String(this.#cuts));
      cutPower(volume.disk, luckOf(row));
      this.#parts.onPowerCut(volume);
    }
    this.nodes.watchOver(machine);
  }

  /** The machine goes down in good order: its kubelet ends the pods first, and nothing that was written is lost. */
  shutDown(machine: Machine, graceMs: number): void {
    const message = "Pod was terminated in response to imminent node shutdown.";
    this.#goingDown.add(machine);
    this.nodes.tellGoingDown(machine);
    for (const life of this.kubelet(machine).running) life.evict({ reason: "Terminated", message }, graceMs);
    machine.later(graceMs + slackMs, () => {
      if (!this.#goingDown.delete(machine)) return;
      for (const { disk } of this.volumes.onlyOn(machine.name)) disk.writeBack();
      machine.cutPower();
      this.nodes.watchOver(machine);
    });
  }

  #kubelet(machine: Machine): Kubelet {
    const { makeDisk, scheduler, ...parts } = this.#parts;
    return new Kubelet({
      ...parts,
      scheduler,
      machine,
      actor: { role: "Kubelet", name: machine.name },
      volumes: this.volumes,
      makeDisk: () => makeDisk("Local"),
      now: () => scheduler.now,
    });
  }

  #controller(name: string): ControllerOptions {
    const { scheduler, acting, delays } = this.#parts;
    return {
      defer: (delayMs, run, kind) => {
        scheduler.after(scheduler.world, delayMs, () => acting.by({ role: "Controller", name }, run), kind);
      },
      delayMs: () => delays.ms("hear", name),
    };
  }
}

/** What a kubelet needs beyond the grace period to tell how the pods ended. */
const slackMs = 2_000;

function luckOf(row: Row): Luck {
  const flip = () => row.hits(0.5);
  return {
    keepsName: flip,
    keepsSectors: (count) => ({ kept: Array.from({ length: count }, flip), length: flip() }),
  };
}
