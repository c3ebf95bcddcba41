import type { RunView } from "../harness/run-view.ts";
import { type Played, playInQueue } from "../kueue/play.ts";
import { onCluster } from "./on-cluster.ts";
import { type Measurement, type Result, rounded } from "./result.ts";

/** A queue of Kueue's own with room for one of three runs, on a real cluster: who waits, who gives way, and what it costs. */
export const kueue: Measurement = {
  name: "kueue",
  what: "three runs in a queue with room for one, of which a later one is urgent, and a gang",
  seconds: 400,
  limitMs: 60 * 60_000,
  run: async (signal) => {
    const report = (line: string) => console.log(`  ${line}`);
    const options = { name: "kueue", signal, report };
    return kueueResult(await onCluster(options, (installation) => playInQueue(installation, { report, signal })));
  },
};

/** What the three runs came to. */
export function kueueResult({ version, steps, first, second, urgent, waited, gang }: Played): Result {
  const all = [first, second, urgent];
  const [resumed, takenBack] = first.run.status.attempts;
  const untouched = [second, urgent].every(({ run }) => run.status.attempts.length === 1);
  return {
    name: "kueue",
    figures: {
      kueue: version,
      waited,
      takenBack: {
        cause: takenBack?.cause ?? "none",
        charge: takenBack?.charge ?? "none",
        reason: takenBack?.reason ?? "none",
        message: takenBack?.message ?? "",
        lastStep: takenBack?.lastStep ?? null,
        lostSteps: takenBack?.lostSteps ?? null,
      },
      resumedFromStep: resumed?.resumedFrom?.step ?? null,
      urgentFirstStepSeconds: firstStepSeconds(urgent.run),
      secondFirstStepSeconds: firstStepSeconds(second.run),
      attempts: all.map(({ run }) => run.status.attempts.length),
      disruptions: all.map(({ run }) => totalOf(run, "disruptions")),
      failures: all.map(({ run }) => totalOf(run, "failures")),
      weights: all.map(({ weights }) => weights),
      gang,
    },
    goals: {
      waited: {
        goal: "the second waits in its one pod, and says in which queue and in Kueue's words for what",
        met: waited.reason === "SchedulingGated" && /in the queue gpus .*quota/s.test(waited.message) && untouched,
      },
      takenBack: {
        goal: "Kueue's preemption is the cause, and is charged to nobody",
        met:
          takenBack?.cause === "Preempted" &&
          takenBack.charge === "Nothing" &&
          takenBack.reason === "WorkloadEvictedDueToPreempted" &&
          all.every(({ run }) => totalOf(run, "disruptions") === 0 && totalOf(run, "failures") === 0),
      },
      resumedFromStep: {
        goal: "the first resumes later, from its last step",
        met:
          first.run.status.attempts.length === 2 &&
          takenBack?.lostSteps === 0 &&
          resumed?.resumedFrom !== undefined &&
          resumed.resumedFrom.step === takenBack.lastStep,
      },
      weights: {
        goal: `all three end at step ${steps} with the same weights`,
        met: all.every(
          ({ run, weights }) => isComplete(run, steps) && weights === urgent.weights && weights !== "none",
        ),
      },
      gang: {
        goal: "a gang waits whole while there is room for a part of it, says so, and is let go whole",
        met: gang.held === gang.workers && gang.heldLater === 0 && gang.waited.includes("in the queue gpus "),
      },
    },
  };
}

function isComplete({ status }: RunView, steps: number): boolean {
  return status.state === "Complete" && status.latestVerified?.step === steps;
}

function totalOf({ status }: RunView, name: string): number {
  return Number(status.totals?.[name] ?? Number.NaN);
}

/** From the run's creation to the first step of its first attempt. */
function firstStepSeconds({ metadata, status }: RunView): number | null {
  const firstStepTime = status.attempts.at(-1)?.firstStepTime;
  if (firstStepTime === undefined) return null;
  return rounded((Date.parse(firstStepTime) - Date.parse(metadata.creationTimestamp)) / 1000);
}
