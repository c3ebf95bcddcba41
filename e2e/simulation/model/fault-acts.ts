import type { Plan } from "../plan/draw.ts";
import type { Fault } from "../plan/faults.ts";
import type { Healing } from "../plan/heal.ts";
import type { RunScenario } from "../plan/scenario.ts";
import type { Lift } from "./acts/act.ts";
import { fieldsOf, type StoredObject } from "./api/object.ts";
import { playable } from "./fault-kinds.ts";
import type { PlayedOperator } from "./operators.ts";
import type { PlayWorld } from "./play-world.ts";

/** Brings the faults of a plan about, each at its moment, and takes them back. */
export class FaultActs {
  readonly world: PlayWorld;
  readonly #plan: Plan;
  readonly #standing = new Map<string, Lift>();
  readonly #met = new Set<string>();
  /** Runs that nobody makes again. */
  readonly #unwanted = new Set<string>();
  #isHealed = false;

  constructor(world: PlayWorld, plan: Plan) {
    this.world = world;
    this.#plan = plan;
  }

  /** Whether faults may still do something. */
  get isChaos(): boolean {
    return !this.#isHealed;
  }

  /** The runs of the plan. */
  get runs(): readonly RunScenario[] {
    return this.#plan.scenario.runs;
  }

  /** The operator of a name, as it runs now; undefined while it does not. */
  operator(name: string): PlayedOperator | undefined {
    return this.world.operators.running(name);
  }

  /** Starts an operator, which is started again whenever it ends. */
  startOperator(index: number): void {
    this.world.operators.keep(index);
  }

  /** Whether its user still wants a run of this name, and there is none, but a place for it. */
  mayCreate(run: string): boolean {
    const isWanted = !this.#unwanted.has(run) && this.world.run(run) === undefined;
    return isWanted && this.world.user.namespace(this.world.scenarioOf(run).namespace) !== undefined;
  }

  /** Lets every fault begin when its moment comes. */
  arm(): void {
    const { scheduler, api, runs } = this.world;
    const waiting = new Set<Fault>();
    for (const fault of this.#plan.faults) {
      if ("atMs" in fault.moment) scheduler.after(scheduler.world, fault.moment.atMs, () => this.#begin(fault));
      else waiting.add(fault);
    }
    api.store.listen(({ plural }, { object }) => {
      if (plural !== runs.plural) return;
      for (const fault of waiting) {
        if ("atMs" in fault.moment) continue;
        const { run, state, delayMs } = fault.moment;
        if (object.metadata.name !== run || stateOf(object) !== state) continue;
        waiting.delete(fault);
        scheduler.after(scheduler.world, delayMs, () => this.#begin(fault));
      }
    });
  }

  /** Takes back what stands, and puts right what does not come right by that. The last word of each user comes last. */
  heal(healings: readonly Healing[]): void {
    this.#isHealed = true;
    for (const healing of healings) {
      switch (healing.kind) {
        case "Lift":
          this.#lift(healing.fault);
          break;
        case "RenewNode":
          this.world.cluster.renew(healing.node);
          break;
        case "Suspend":
          this.world.user.edit(healing.run, { suspend: true });
          break;
        case "Resume":
          this.world.user.edit(healing.run, { suspend: false });
          break;
        case "Delete":
          this.#unwanted.add(healing.run);
          this.world.user.deleteRun(healing.run);
          break;
        case "DeleteNamespace":
          this.world.user.deleteNamespace(healing.namespace);
          break;
        default:
          healing satisfies never;
      }
    }
  }

  /** Ends everything that runs. */
  end(): void {
    this.world.operators.end();
    for (const machine of this.world.cluster.machines) machine.cutPower();
  }

  /** A fault has met something, which it is told of once. */
  met({ id, kind }: Fault): void {
    if (this.#met.has(id)) return;
    this.#met.add(id);
    this.world.history.note({ kind: "FaultMet", id, fault: kind, phases: this.#phases() });
  }

  #begin(fault: Fault): void {
    const act = playable[fault.kind];
    if (act === undefined || this.#isHealed) return;
    const { history, scheduler } = this.world;
    history.note({ kind: "FaultBegan", id: fault.id, fault: fault.kind, phases: this.#phases() });
    const lift = act(this, fault);
    if (lift === null) return;
    this.#standing.set(fault.id, lift);
    scheduler.after(scheduler.world, fault.forMs, () => this.#lift(fault.id));
  }

  #lift(id: string): void {
    const lift = this.#standing.get(id);
    if (lift === undefined) return;
    this.#standing.delete(id);
    lift();
    const fault = this.#plan.faults.find((each) => each.id === id)?.kind ?? "";
    this.world.history.note({ kind: "FaultEnded", id, fault, phases: this.#phases() });
  }

  #phases(): readonly string[] {
    return this.#plan.scenario.runs.flatMap(({ name }) => {
      const run = this.world.run(name);
      return run === undefined ? [] : [stateOf(run)];
    });
  }
}

function stateOf({ status }: StoredObject): string {
  return String(fieldsOf(status).state ?? "New");
}
