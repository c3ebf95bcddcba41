import { cutsOf, type ScriptCuts } from "../crash-points/cut.ts";
import { operatorScripts } from "../crash-points/operator-scripts.ts";
import { podScripts } from "../crash-points/pod-scripts.ts";
import { cutOnServer } from "../crash-points/real.ts";
import { realScripts } from "../crash-points/real-scripts.ts";
import { cutInSimulation } from "../crash-points/sim.ts";
import { onApiServer } from "./on-api-server.ts";
import { type Measurement, type Result, rounded } from "./result.ts";

const workers = 2;
/** Plays on the real server mostly wait. */
const lanes = 8;

/**
 * Lists every write that the operator sends in scripts of a run's life, and cuts each of them: the operator dies before it
 * arrives, or once it is done and before it hears of it, or only the answer is lost. Same: what the run came to, what was
 * counted, and what was created and deleted. In the simulation with the real agents and checkpoints, where writes of the
 * Lease are cut too; and on a real API server, where a kubelet is played and events are not cut. In the simulation the same
 * is done to what trainers and agents write, which may cost an attempt.
 */
export const crashPoints: Measurement = {
  name: "crash-points",
  what: "operator, trainer and agent killed before and after every write that they make, and with the reply lost",
  seconds: 600,
  limitMs: 40 * 60_000,
  run: async (signal) => {
    const started = performance.now();
    const told = (line: string) => console.log(`  ${line}`);
    const simulate = async (scripts: readonly { name: string }[]) => {
      const cut: ScriptCuts[] = [];
      for (const { name } of scripts) {
        const cuts = await cutInSimulation(name, { workers, signal });
        cut.push(cuts);
        told(`${name}: the same end after ${cuts.same} of ${cuts.plays} cuts of ${cuts.writes.length} writes`);
        for (const missed of cuts.missed) told(`  ${missed}`);
      }
      return cut;
    };
    const operators = await simulate(operatorScripts);
    const pods = await simulate(podScripts);
    const real = await onApiServer({ name: "crash-points", signal }, (access) =>
      cutOnServer(access, { lanes, signal, told }),
    );
    return crashPointsResult({ operators, pods, real, seconds: (performance.now() - started) / 1_000 });
  },
};

/** What the cuts come to. */
export function crashPointsResult(
  seen: Readonly<{
    operators: readonly ScriptCuts[];
    pods: readonly ScriptCuts[];
    real: readonly ScriptCuts[];
    seconds: number;
  }>,
): Result {
  const parts = { operators: figuresOf(seen.operators), pods: figuresOf(seen.pods), real: figuresOf(seen.real) };
  const sum = (of: (figures: Figures) => number) => Object.values(parts).reduce((total, each) => total + of(each), 0);
  return {
    name: "crash-points",
    figures: {
      seconds: rounded(seen.seconds),
      writes: sum(({ writes }) => writes),
      kills: sum(({ kills }) => kills),
      same: sum(({ same }) => same),
      ...parts,
    },
    goals: {
      operators: goalOf(parts.operators, operatorScripts.length),
      pods: goalOf(parts.pods, podScripts.length),
      real: goalOf(parts.real, realScripts.length),
    },
  };
}

type Figures = ReturnType<typeof figuresOf>;

function goalOf({ scripts, writes, kills, cuts, same }: Figures, expected: number) {
  return {
    goal: `every write of ${expected} scripts cut in every way that there is, with the same end each time`,
    met: scripts === expected && writes > 0 && kills === cuts && same === kills,
  };
}

function figuresOf(of: readonly ScriptCuts[]) {
  const sum = (count: (each: ScriptCuts) => number) => of.reduce((total, each) => total + count(each), 0);
  return {
    scripts: of.length,
    writes: sum(({ writes }) => writes.length),
    cuts: sum(({ writes }) => cutsOf(writes).length),
    kills: sum(({ plays }) => plays),
    same: sum(({ same }) => same),
    writesByScript: Object.fromEntries(of.map(({ script, writes }) => [script, writes.length])),
    writesByKind: countsOf(of.flatMap(({ writes }) => writes.map(({ kind }) => kind))),
    missed: of.flatMap(({ script, missed }) => missed.map((words) => `${script}: ${words}`)),
  };
}

function countsOf(kinds: readonly string[]): Readonly<Record<string, number>> {
  const counts = new Map<string, number>();
  for (const kind of kinds.toSorted()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return Object.fromEntries(counts);
}
