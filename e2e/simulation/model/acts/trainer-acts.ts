import { trainerName } from "@trainingrun/operator/api/template.ts";
import type { SimProcess } from "../../host/process.ts";
import { eventsOf } from "../../judge/history.ts";
import type { Fault, FaultName } from "../../plan/faults.ts";
import { fieldsOf, type StoredObject } from "../api/object.ts";
import type { FaultActs } from "../fault-acts.ts";
import { type Act, livingPod } from "./act.ts";

/** What keeps a trainer from going on, though its process is there and nothing is wrong with its machine. */
export const trainerActs = {
  TrainerHangs: (acts, fault) => {
    hang(acts, fault, new StepsByPod(acts));
    return null;
  },
  TrainerHeldUp: (acts, fault) => {
    const { scheduler } = acts.world;
    const found = runningTrainer(acts, fault);
    if (found === null) return null;
    acts.met(fault);
    found.process.pause();
    scheduler.after(scheduler.world, fault.args.forMs ?? 1_000, () => {
      // Where all of the machine stands still by now, it goes on with that.
      if (acts.world.cluster.machine(found.node).state !== "Frozen") found.process.thaw();
    });
    return null;
  },
} as const satisfies Partial<Record<FaultName, Act>>;

const lookMs = 250;

/**
 * Waits for a trainer that is in the midst of its steps. Nobody can tell one that hangs before its first report from one
 * that prepares for long, and of one that has done all of them no step is expected.
 */
function hang(acts: FaultActs, fault: Fault, steps: StepsByPod): void {
  if (!acts.isChaos) return;
  const { scheduler } = acts.world;
  const { targetStep } = acts.world.scenarioOf(fault.target);
  const found = runningTrainer(acts, fault);
  const [, ...later] = found === null ? [] : steps.of(found.pod.metadata.uid);
  const last = later.at(-1);
  if (found !== null && last !== undefined && last < targetStep) {
    acts.met(fault);
    found.process.pause();
    return;
  }
  scheduler.after(scheduler.world, lookMs, () => hang(acts, fault, steps));
}

/** The trainer of the fault's run, where it runs; of a gang's, one that the fault has drawn. */
function runningTrainer(
  acts: FaultActs,
  fault: Fault,
): Readonly<{ pod: StoredObject; process: SimProcess; node: string }> | null {
  const pod = livingPod(acts, fault);
  const life = pod === undefined ? undefined : acts.world.cluster.life(pod);
  const process = life?.containers.find(({ snapshot }) => snapshot.name === trainerName)?.process;
  if (pod === undefined || process == null || process.state !== "running") return null;
  return { pod, process, node: String(fieldsOf(pod.spec).nodeName) };
}

/** The steps that each pod's trainer has done, as far as somebody has asked for them. */
class StepsByPod {
  readonly #acts: FaultActs;
  readonly #steps = new Map<string, number[]>();
  #looked = 0;

  constructor(acts: FaultActs) {
    this.#acts = acts;
  }

  of(pod: string): readonly number[] {
    const { events } = this.#acts.world.history;
    for (const { pod: by, step } of eventsOf(events.slice(this.#looked), "Stepped")) {
      this.#steps.set(by, [...(this.#steps.get(by) ?? []), step]);
    }
    this.#looked = events.length;
    return this.#steps.get(pod) ?? [];
  }
}
