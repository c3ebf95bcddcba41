import { fieldsOf, type StoredObject } from "../simulation/model/api/object.ts";
import type { Machine } from "../simulation/model/cluster/machine.ts";
import type { PlayWorld } from "../simulation/model/play-world.ts";
import type { Cue, Deed, Script } from "./scripts.ts";

const user = { role: "User", name: "somebody" } as const;
const pollMs = 100;

/** Does the deeds of a script in a simulated world, each at its cue. */
export class SimDeeds {
  readonly #world: PlayWorld;
  readonly #script: Script;
  readonly #left: Script["deeds"][number][];
  /** The last step that the trainer of each attempt has done. */
  readonly #steps = new Map<number, number>();
  #looked = 0;
  #state = { is: "", sinceMs: 0 };
  #edits = 0;
  #cutOff: Machine | null = null;

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
    if (this.#isCue(next.cue)) {
      this.#left.shift();
      this.#do(next.deed);
    }
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
    if ("step" in cue) return (this.#steps.get(cue.attempt) ?? -1) >= cue.step;
    return this.#state.is === cue.state && this.#world.scheduler.now - this.#state.sinceMs >= cue.forMs;
  }

  #do(deed: Deed): void {
    const world = this.#world;
    const { name, namespace, intervalSteps } = this.#script.run;
    switch (deed) {
      case "Preempt":
        world.cluster.preempt(this.#pod());
        break;
      case "Suspend":
        world.editRun(name, { suspend: true });
        break;
      case "Resume":
        world.editRun(name, { suspend: false });
        break;
      case "Edit":
        this.#edits += 1;
        world.editRun(name, { checkpoint: { interval: { steps: intervalSteps + this.#edits } } });
        break;
      case "CutNodeOff":
        this.#cutOff = world.cluster.machine(String(fieldsOf(this.#pod().spec).nodeName));
        world.cluster.cutOff(this.#cutOff);
        break;
      case "BringNodeBack":
        if (this.#cutOff === null) throw new Error("Cannot bring a node back because none is cut off");
        world.cluster.bringBack(this.#cutOff);
        break;
      case "Delete":
        world.acting.by(user, () => void world.api.remove({ resource: world.runs, namespace, name }));
        break;
    }
  }

  /** The newest pod of the run that nobody has asked to stop. */
  #pod(): StoredObject {
    const { name } = this.#script.run;
    const pod = this.#world.podsOf(name).findLast(({ metadata }) => metadata.deletionTimestamp === undefined);
    if (pod === undefined) throw new Error(`Cannot do anything to the pod of ${name} because it has none`);
    return pod;
  }
}
