import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ClusterStore, startClusterStore } from "../harness/cluster-store.ts";
import type { Installation } from "../harness/installation.ts";
import { until } from "../harness/run-access.ts";
import { fenceAfterSeconds, firstNewStepMs, recordsOfZombies, startFencedRun, Zombie } from "../harness/zombie.ts";
import { onCluster } from "./on-cluster.ts";
import { type Measurement, median, type Result, rounded } from "./result.ts";

const rounds = 3;
/** What may pass, beyond the silence that is waited for, until the next attempt does its first step. */
const mostBeyondSeconds = 20;

/** What a round's checkpoints lie on. */
type Storage = "SharedVolume" | "ObjectStore";

/**
 * From the instant at which nothing comes from a node any more to the first step of the next attempt, under
 * `nodeLost: Fence`: on a volume that both nodes may mount, where trainer and agent of the lost node write on all the while,
 * and once on an object store alone, which they reach again when the next attempt trains. What they append below the next
 * attempt's opening, and one record that is put there for them, is counted as well. The operator that leads is on the
 * other node.
 */
export const nodeLoss: Measurement = {
  name: "node-loss",
  what: `${rounds + 1} nodes lost under nodeLost: Fence {afterSeconds: ${fenceAfterSeconds}} with their pods writing on`,
  seconds: 400,
  limitMs: 20 * 60_000,
  run: async (signal) => {
    const report = (line: string) => console.log(`  ${line}`);
    return await onCluster({ name: "node-loss", signal, report }, async (on) => {
      const lost: Loss[] = [];
      const directory = await mkdtemp(join(tmpdir(), "trainingrun-node-loss-store-"));
      const store = await startClusterStore(on, { directory, namespace: "default", signal });
      try {
        for (let round = 1; round <= rounds; round += 1) {
          lost.push(await loseOne(on, { name: `lost-${round}`, signal }));
          report(`node ${round}: ${JSON.stringify(lost.at(-1))}`);
        }
        lost.push(await loseOne(on, { name: "lost-without-volume", signal, store }));
        report(`the last, on the object store alone: ${JSON.stringify(lost.at(-1))}`);
      } finally {
        await store.stop();
        await rm(directory, { recursive: true, force: true });
      }
      return nodeLossResult(on.cluster.way, lost);
    });
  },
};

/** One node lost, whose pod is known to have saved on when nobody heard of it. */
export type Loss = Readonly<{
  storage: Storage;
  seconds: number;
  lateRecords: number;
  lateRecordsThatCount: number;
  endedAlone: readonly string[];
}>;

async function loseOne(
  installation: Installation,
  { name, signal, store }: Readonly<{ name: string; signal: AbortSignal; store?: ClusterStore }>,
): Promise<Loss> {
  const run = await startFencedRun(installation, { name, signal, ...(store && { store }) });
  const zombie = await Zombie.make(installation, run);
  try {
    if (store === undefined) await zombie.hasWrittenOn(signal);
    const after = await run.access.waitFor(
      "the next attempt's first step",
      signal,
      (seen) => firstNewStepMs(seen) !== null,
    );
    if (store !== undefined) await zombie.node.reconnect();
    await until("trainer and agent of the lost node to end", signal, async () => zombie.ended.length === 2);
    await zombie.appendLate();
    const { late, counted } = await recordsOfZombies(run.log);
    return {
      storage: store === undefined ? "SharedVolume" : "ObjectStore",
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
  const of = (storage: Storage) => losses.filter((loss) => loss.storage === storage).length;
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
      withoutVolumeSeconds: losses
        .filter(({ storage }) => storage === "ObjectStore")
        .map((loss) => rounded(loss.seconds)),
      lateRecords: losses.reduce((sum, { lateRecords }) => sum + lateRecords, 0),
      lateRecordsThatCount: counted,
      endedAlone: losses.filter(({ endedAlone }) => endedAlone.length === 2).length,
    },
    goals: {
      losses: {
        goal: `${rounds} on a shared volume and one on an object store alone`,
        met: of("SharedVolume") >= rounds && of("ObjectStore") >= 1,
      },
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
