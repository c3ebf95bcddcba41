import type { Installation } from "../harness/installation.ts";
import { until } from "../harness/run-access.ts";
import { fenceAfterSeconds, firstNewStepMs, recordsOfZombies, startFencedRun, Zombie } from "../harness/zombie.ts";
import { onCluster } from "./on-cluster.ts";
import { type Measurement, median, type Result, rounded } from "./result.ts";

const rounds = 3;
/** What may pass, beyond the silence that is waited for, until the next attempt does its first step. */
const mostBeyondSeconds = 20;

/**
 * From the instant at which nothing comes from a node any more to the first step of the next attempt, under
 * `nodeLost: Fence` on a volume that both nodes may mount. Trainer and agent of the lost node write on all the while; what
 * they append below the next attempt's opening, and one record that is put there for them, is counted as well. The operator
 * that leads is on the other node.
 */
export const nodeLoss: Measurement = {
  name: "node-loss",
  what: `${rounds} nodes lost under nodeLost: Fence {afterSeconds: ${fenceAfterSeconds}} with their pods writing on`,
  seconds: 300,
  limitMs: 20 * 60_000,
  run: async (signal) => {
    const report = (line: string) => console.log(`  ${line}`);
    return await onCluster({ name: "node-loss", signal, report }, async (on) => {
      const lost: Loss[] = [];
      for (let round = 1; round <= rounds; round += 1) {
        lost.push(await loseOne(on, `lost-${round}`, signal));
        report(`node ${round}: ${JSON.stringify(lost.at(-1))}`);
      }
      return nodeLossResult(on.cluster.way, lost);
    });
  },
};

/** One node lost, whose pod is known to have saved on when nobody heard of it. */
export type Loss = Readonly<{
  seconds: number;
  lateRecords: number;
  lateRecordsThatCount: number;
  endedAlone: readonly string[];
}>;

async function loseOne(installation: Installation, name: string, signal: AbortSignal): Promise<Loss> {
  const run = await startFencedRun(installation, name, signal);
  const zombie = await Zombie.make(installation, run);
  try {
    await zombie.hasWrittenOn(signal);
    const after = await run.access.waitFor(
      "the next attempt's first step",
      signal,
      (seen) => firstNewStepMs(seen) !== null,
    );
    await until("trainer and agent of the lost node to end", signal, async () => zombie.ended.length === 2);
    await zombie.appendLate();
    const { late, counted } = await recordsOfZombies(run.log);
    return {
      seconds: ((firstNewStepMs(after) ?? Number.NaN) - zombie.node.silentAtMs) / 1000,
      lateRecords: late,
      lateRecordsThatCount: counted,
      endedAlone: zombie.ended,
    };
  } finally {
    await zombie.node.comeBack();
    await run.access.remove(signal);
    await until(`node ${run.node} to be heard of`, signal, () => isReady(installation, run.node));
  }
}

async function isReady({ kubectl }: Installation, node: string): Promise<boolean> {
  const path = '{.status.conditions[?(@.type=="Ready")].status}';
  return (await kubectl("get", "node", node, "-o", `jsonpath=${path}`)).trim() === "True";
}

/** What the losses come to. */
export function nodeLossResult(way: string, losses: readonly Loss[]): Result {
  const seconds = losses.map((loss) => loss.seconds);
  const worst = Math.max(...seconds);
  const counted = losses.reduce((sum, { lateRecordsThatCount }) => sum + lateRecordsThatCount, 0);
  return {
    name: "node-loss",
    figures: {
      cluster: way,
      losses: losses.length,
      afterSeconds: fenceAfterSeconds,
      medianSeconds: rounded(median(seconds)),
      maxSeconds: rounded(worst),
      seconds: seconds.map(rounded),
      lateRecords: losses.reduce((sum, { lateRecords }) => sum + lateRecords, 0),
      lateRecordsThatCount: counted,
      endedAlone: losses.filter(({ endedAlone }) => endedAlone.length === 2).length,
    },
    goals: {
      losses: { goal: `${rounds}`, met: losses.length >= rounds },
      maxSeconds: {
        goal: `at most afterSeconds + ${mostBeyondSeconds} s`,
        met: worst <= fenceAfterSeconds + mostBeyondSeconds,
      },
      lateRecords: { goal: "one at least of every lost pod", met: losses.every(({ lateRecords }) => lateRecords > 0) },
      lateRecordsThatCount: { goal: "0", met: counted === 0 },
      endedAlone: {
        goal: "agent and trainer of every lost node ended by themselves",
        met: losses.every(({ endedAlone }) => endedAlone.length === 2),
      },
    },
  };
}
