import { hows, type ScriptCuts } from "../crash-points/cut.ts";
import { cutOnServer } from "../crash-points/real.ts";
import { realScripts } from "../crash-points/real-scripts.ts";
import { scripts } from "../crash-points/scripts.ts";
import { cutInSimulation } from "../crash-points/sim.ts";
import { onApiServer } from "./on-api-server.ts";
import { type Measurement, type Result, rounded } from "./result.ts";

const workers = 2;
/** Plays on the real server mostly wait. */
const lanes = 8;

/**
 * Lists every write that the operator sends in scripts of a run's life, and cuts each of them: the operator dies before it
 * arrives, or once it is done and before it hears of it, or only the answer is lost. Same: what the run came to, what was
 * counted, and what was created and deleted. In the simulation with the real agents and checkpoints; and on a real API
 * server, where a kubelet is played, events are not cut, and no leader changes.
 */
export const crashPoints: Measurement = {
  name: "crash-points",
  what: "the operator killed before and after every write that it makes, and with the reply lost",
  seconds: 600,
  limitMs: 40 * 60_000,
  run: async (signal) => {
    const started = performance.now();
    const told = (line: string) => console.log(`  ${line}`);
    const simulated: ScriptCuts[] = [];
    for (const { name } of scripts) {
      const cuts = await cutInSimulation(name, { workers, signal });
      simulated.push(cuts);
      told(`${name}: the same end after ${cuts.same} of ${cuts.plays} cuts of ${cuts.writes.length} writes`);
      for (const missed of cuts.missed) told(`  ${missed}`);
    }
    const real = await onApiServer({ name: "crash-points", signal }, (access) =>
      cutOnServer(access, { lanes, signal, told }),
    );
    return crashPointsResult({ simulated, real, seconds: (performance.now() - started) / 1_000 });
  },
};

/** What the cuts come to. */
export function crashPointsResult(
  seen: Readonly<{ simulated: readonly ScriptCuts[]; real: readonly ScriptCuts[]; seconds: number }>,
): Result {
  const [simulated, real] = [figuresOf(seen.simulated), figuresOf(seen.real)];
  const goal = (of: typeof simulated, expected: number) => ({
    goal: `every write of ${expected} scripts cut in ${hows.length} ways, with the same end each time`,
    met: of.scripts === expected && of.writes > 0 && of.kills === of.writes * hows.length && of.same === of.kills,
  });
  return {
    name: "crash-points",
    figures: {
      seconds: rounded(seen.seconds),
      writes: simulated.writes + real.writes,
      kills: simulated.kills + real.kills,
      same: simulated.same + real.same,
      simulated,
      real,
    },
    goals: { simulated: goal(simulated, scripts.length), real: goal(real, realScripts.length) },
  };
}

function figuresOf(cuts: readonly ScriptCuts[]) {
  const sum = (of: (each: ScriptCuts) => number) => cuts.reduce((total, each) => total + of(each), 0);
  return {
    scripts: cuts.length,
    writes: sum(({ writes }) => writes.length),
    kills: sum(({ plays }) => plays),
    same: sum(({ same }) => same),
    writesByScript: Object.fromEntries(cuts.map(({ script, writes }) => [script, writes.length])),
    writesByKind: countsOf(cuts.flatMap(({ writes }) => writes.map(kindOf))),
    missed: cuts.flatMap(({ script, missed }) => missed.map((words) => `${script}: ${words}`)),
  };
}

/** `create pods` of a write in the simulation, `POST pods` of one on a server. */
function kindOf(write: string): string {
  const [verb = "", what = ""] = write.split(" ");
  const [resource = "", name, subresource] = what.split("/");
  const part = name === "status" ? name : subresource;
  return part === undefined ? `${verb} ${resource}` : `${verb} ${resource}/${part}`;
}

function countsOf(kinds: readonly string[]): Readonly<Record<string, number>> {
  const counts = new Map<string, number>();
  for (const kind of kinds.toSorted()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return Object.fromEntries(counts);
}
