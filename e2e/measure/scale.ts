import type { LeaderEnd } from "../scale/contender.ts";
import { jobContender } from "../scale/jobs.ts";
import { jobSetContender } from "../scale/jobsets.ts";
import { runContender } from "../scale/runs.ts";
import { type Phase, playScale, type Seen } from "../scale/scale-phases.ts";
import { trainJobContender } from "../scale/trainjobs.ts";
import { type Goal, type Measurement, median, quantile, type Result, rounded } from "./result.ts";

const [few, many] = [1_000, 5_000] as const;
const contenders = [runContender, jobContender, jobSetContender];
/** Each of its objects is a JobSet beside: what that takes with many is known. */
const withFewAlone = [trainJobContender];
const recoveryGoalSeconds = 3;
const createdGoalWrites = 10;
const replacedGoalWrites = 14;
const memoryGoalMiB = 512;
/** As long as it may take until another process leads. */
const failoverGoalSeconds = { Asked: 2, Killed: 17 } as const;
/** Seconds of each run, where there are five times as many, beside those where there are few. */
const linearGoal = 1.5;

/**
 * Objects of one pod each, all applied at once, on a control plane of their own with nodes that are played: a pod runs as
 * soon as it is bound, and ends as soon as it is deleted. Then a tenth of the pods is preempted, and for TrainingRuns
 * another tenth while the leader ends: asked to among the few, killed among the many. Every controller may ask the API server
 * 500 times a second.
 */
export const scale: Measurement = {
  name: "scale",
  what: `${few} and ${many} runs of one pod, the same as Jobs and as JobSets, and ${few} as TrainJobs`,
  seconds: 2_000,
  limitMs: 90 * 60_000,
  run: async (signal) => {
    const report = (line: string) => console.log(`  ${line}`);
    const seen: Seen[] = [];
    for (const [count, leaderEnd] of [
      [few, "Asked"],
      [many, "Killed"],
    ] as const) {
      for (const contender of [...contenders, ...(count === few ? withFewAlone : [])])
        seen.push(await playScale(contender, { count, leaderEnd, signal, report }));
    }
    return scaleResult(seen);
  },
};

/** What the plays come to. */
export function scaleResult(seen: readonly Seen[]): Result {
  const of = (contender: string, count: number) =>
    seen.find((each) => each.contender === contender && each.count === count);
  const [ours, ourMany] = [of("trainingrun", few), of("trainingrun", many)];
  const others = ["job", "jobset", "trainjob"].map((name) => of(name, few));
  const runs = [ours, ourMany];
  return {
    name: "scale",
    figures: Object.fromEntries(seen.map((each) => [`${each.contender}${each.count}`, figuresOf(each)])),
    goals: {
      recoverySeconds: atMost(`the tenth of ${few} runs again`, [ours?.recovery.seconds], recoveryGoalSeconds, "s"),
      recoveryBeside: {
        goal: `the tenth of ${few} runs again before those of Job, JobSet and TrainJob`,
        met: others.every((other) => isBelow(ours?.recovery.seconds, other?.recovery.seconds)),
      },
      creationSeconds: {
        goal: "all run no later than Jobs",
        met: [few, many].every((count) =>
          isBelow(of("trainingrun", count)?.creation.seconds, of("job", count)?.creation.seconds),
        ),
      },
      linear: {
        goal: `a run of ${many} takes at most ${linearGoal} times as long to come to run as one of ${few}`,
        met: isBelow(perObject(ourMany?.creation), linearGoal * perObject(ours?.creation)),
      },
      writesAtCreation: atMost(
        "writes for each run",
        runs.map((each) => writesOf(each?.creation)),
        createdGoalWrites,
      ),
      writesAtReplacement: atMost(
        "writes for each replaced pod",
        runs.map((each) => writesOf(each?.recovery)),
        replacedGoalWrites,
      ),
      peakRssMiB: atMost(
        `each operator, at ${many} runs`,
        [ourMany?.peakRssMiB.operator, ourMany?.peakRssMiB["second operator"]],
        memoryGoalMiB,
        "MiB",
      ),
      leaderChange: {
        goal: `a tenth again while the leader changes: beyond ${linearGoal} times as long as without, at most ${failoverGoalSeconds.Asked} s where it was asked to end, ${failoverGoalSeconds.Killed} s where it was killed`,
        met: meetsLeaderChange(ours, "Asked") && meetsLeaderChange(ourMany, "Killed"),
      },
      extraPods: {
        goal: "0, whoever led",
        met: runs.every((each) => each?.extraPods === 0 && each.leaderChange !== null),
      },
    },
  };
}

/** The pods that were taken wait for the next leader, and then for as long as they always do. */
function meetsLeaderChange(seen: Seen | undefined, how: LeaderEnd): boolean {
  const { leaderChange, recovery } = seen ?? {};
  if (leaderChange?.how !== how) return false;
  return isBelow(leaderChange.seconds, linearGoal * (recovery?.seconds ?? Number.NaN) + failoverGoalSeconds[how]);
}

/** What was never measured meets no goal. */
function atMost(what: string, values: readonly (number | undefined)[], limit: number, unit = ""): Goal {
  const met = values.length > 0 && values.every((value) => isBelow(value, limit));
  return { goal: `${what}: at most ${limit} ${unit}`.trim(), met };
}

function isBelow(value: number | undefined, limit: number | undefined): boolean {
  return (value ?? Number.NaN) <= (limit ?? Number.NaN);
}

function perObject(phase: Phase | undefined): number {
  return phase === undefined ? Number.NaN : phase.seconds / phase.objects;
}

function writesOf(phase: Phase | undefined): number {
  if (phase === undefined) return Number.NaN;
  return Object.values(phase.writes).reduce((sum, count) => sum + count, 0) / phase.objects;
}

function figuresOf({
  creation,
  recovery,
  leaderChange,
  peakRssMiB,
  extraPods,
}: Seen): Readonly<Record<string, unknown>> {
  return {
    creation: phaseFigures(creation),
    recovery: phaseFigures(recovery),
    ...(leaderChange === null ? {} : { leaderChange: { how: leaderChange.how, ...phaseFigures(leaderChange) } }),
    peakRssMiB: mapped(peakRssMiB, Math.round),
    extraPods,
  };
}

function phaseFigures(phase: Phase): Readonly<Record<string, unknown>> {
  const { objects, seconds, each, writes, cpuSeconds } = phase;
  return {
    objects,
    seconds: rounded(seconds),
    medianSeconds: rounded(median(each)),
    p95Seconds: rounded(quantile(each, 0.95)),
    writesPerObject: rounded(writesOf(phase)),
    writesBy: mapped(writes, (count) => rounded(count / objects)),
    cpuSeconds: mapped(cpuSeconds, rounded),
  };
}

function mapped(values: Readonly<Record<string, number>>, change: (value: number) => number): Record<string, number> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, change(value)]));
}
