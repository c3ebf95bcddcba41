import { leases } from "@trainingrun/operator/kubernetes/lease-record.ts";
import { pods } from "@trainingrun/operator/kubernetes/resource.ts";
import { forbidden } from "../simulation/model/api/answers.ts";
import { fieldsOf, type StoredObject } from "../simulation/model/api/object.ts";
import type { Machine } from "../simulation/model/cluster/machine.ts";
import { leasePlace, type PlayedOperator } from "../simulation/model/operators.ts";
import type { PlayWorld } from "../simulation/model/play-world.ts";
import type { Cue, Deed, Script } from "./script.ts";

const pollMs = 100;

/** Does the deeds of a script in a simulated world, each at its cue, and as soon as there is what it is done to. */
export class SimDeeds {
  readonly #world: PlayWorld;
  readonly #script: Script;
  readonly #left: Script["deeds"][number][];
  /** The last step that a trainer of each attempt has done. */
  readonly #steps = new Map<number, number>();
  #looked = 0;
  #state = { is: "", sinceMs: 0 };
  #edits = 0;
  #cutOff: Machine | null = null;
  #takePods: (() => void) | null = null;

  constructor(world: PlayWorld, script: Script) {
    this.#world = world;
    this.#script = script;
    this.#left = [...script.deeds];
  }

  get areDone(): boolean {
    return this.#left.length === 0;
  }

  /** What is to be done next. */
  get next(): Deed | undefined {
    return this.#left[0]?.deed;
  }

  /** Waits for one cue after the other; to be called as an event of the world. */
  begin(): void {
    const { scheduler } = this.#world;
    this.#look();
    const [next] = this.#left;
    if (next === undefined) return;
    if (this.#isCue(next.cue) && this.#do(next.deed)) this.#left.shift();
    scheduler.after(scheduler.world, pollMs, () => this.begin());
  }

  #look(): void {
    const { history, scheduler } = this.#world;
    for (const event of history.events.slice(this.#looked)) {
      if (event.kind === "Stepped") this.#steps.set(event.attempt, event.step);
    }
    this.#looked = history.events.length;
    const is = String(fieldsOf(this.#world.run(this.#script.run.name)?.status).state ?? "");
    if (is !== this.#state.is) this.#state = { is, sinceMs: scheduler.now };
  }

  #isCue(cue: Cue): boolean {
    if ("step" in cue) return [...this.#steps].some(([attempt, step]) => attempt >= cue.attempt && step >= cue.step);
    return this.#state.is === cue.state && this.#world.scheduler.now - this.#state.sinceMs >= cue.forMs;
  }

  /** Whether it could be done. */
  #do(deed: Deed): boolean {
    const { user } = this.#world;
    const { name, intervalSteps } = this.#script.run;
    switch (deed) {
      case "Preempt":
        return this.#toPod((pod) => this.#world.cluster.preempt(pod));
      case "Suspend":
        user.edit(name, { suspend: true });
        return true;
      case "Resume":
        user.edit(name, { suspend: false });
        return true;
      case "Edit":
        this.#edits += 1;
        user.edit(name, { checkpoint: { interval: { steps: intervalSteps + this.#edits } } });
        return true;
      case "Unlabel":
        return this.#toPod((pod) => user.patchPod(pod, { labels: null }));
      case "RefusePods":
        this.#takePods = this.#refusePods();
        return true;
      case "TakePods":
        if (this.#takePods === null) throw new Error("Cannot have pods taken again because none is refused");
        this.#takePods();
        return true;
      case "CutNodeOff":
        return this.#toPod((pod) => this.#cutOffNodeOf(pod));
      case "BringNodeBack":
        if (this.#cutOff === null) throw new Error("Cannot bring a node back because none is cut off");
        this.#world.cluster.bringBack(this.#cutOff);
        return true;
      case "Delete":
        user.deleteRun(name);
        return true;
      case "StopLeader":
        return this.#toLeader((process) => process.terminate());
      case "KillLeader":
        return this.#toLeader((process) => process.kill("by the script"));
      default:
        return deed satisfies never;
    }
  }

  /** Has the server refuse whatever pod an operator creates; returns how it takes them again. */
  #refusePods(): () => void {
    const { acting } = this.#world;
    return this.#world.admitting(({ verb, resource, object }) => {
      if (verb !== "CREATE" || resource.plural !== pods.plural || acting.actor.role !== "Operator") return;
      throw forbidden(pods, object.metadata.name, "not on this day");
    });
  }

  #cutOffNodeOf({ spec }: StoredObject): void {
    const { cluster } = this.#world;
    this.#cutOff = cluster.machine(String(fieldsOf(spec).nodeName));
    cluster.cutOff(this.#cutOff);
  }

  /** Does something to the newest pod that runs and that nobody has asked to stop; false where there is none. */
  #toPod(does: (pod: StoredObject) => void): boolean {
    const { cluster } = this.#world;
    const pod = this.#world.podsOf(this.#script.run.name).findLast((each) => {
      const isRunning = cluster.life(each)?.containers.some(({ process }) => process !== null) ?? false;
      return each.metadata.deletionTimestamp === undefined && isRunning;
    });
    if (pod === undefined) return false;
    does(pod);
    return true;
  }

  /** Does something to the operator that holds the Lease; false where it is gone, and no other has taken it yet. */
  #toLeader(does: (process: PlayedOperator["process"]) => void): boolean {
    const { api, operators, scheduler } = this.#world;
    const lease = api.store.get(leases, `${leasePlace.namespace}/${leasePlace.name}`)?.object;
    const { holderIdentity, renewTime } = fieldsOf(lease?.spec);
    const holder = String(holderIdentity ?? "");
    const process = operators.running(holder.slice(0, Math.max(0, holder.lastIndexOf("_"))))?.process;
    // One that was started again under the name has renewed nothing yet.
    const renewedMs = Date.parse(String(renewTime ?? "")) - scheduler.epochMs;
    if (process === undefined || !(renewedMs >= process.madeAt)) return false;
    does(process);
    return true;
  }
}
