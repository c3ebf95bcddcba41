import { type Fault, kindOf } from "./faults.ts";
import type { RunScenario, Scenario } from "./scenario.ts";

/**
 * The scenario with what its runs need to bear the faults of a plan, so that their ends are known before the play. A run
 * whose only copy is damaged may find nothing that verifies, and then it is right that it fails: such a run asks to start
 * over. One that hangs is ended by nobody unless its user has asked for that. And only what is in a queue meets what a
 * queue does.
 */
export function bearing(scenario: Scenario, faults: readonly Fault[]): Scenario {
  const losesPower = faults.some(({ kind }) => kind === "NodeLosesPower");
  const runs = scenario.runs.map((run) => {
    const own = faults.filter(({ target }) => target === run.name);
    const isHarmed = own.some(({ kind }) => kindOf(kind).harms !== undefined) || (losesPower && run.volume === "None");
    const hang = own.find(({ kind }) => kind === "TrainerHangs");
    return {
      ...run,
      ...(isHarmed ? { noneVerified: "StartOver" as const } : {}),
      ...(hang === undefined ? {} : watched(hang)),
      ...(own.some(({ kind }) => ofQueues.includes(kind)) ? { isQueued: true } : {}),
    };
  });
  return { ...scenario, runs };
}

const ofQueues: readonly Fault["kind"][] = ["QueueHolds", "QueueTakesBack", "RunRequeued"];

function watched({ args: { stallSeconds = 30 } }: Fault): Pick<RunScenario, "stallSeconds"> {
  return { stallSeconds };
}
