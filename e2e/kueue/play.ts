import { join } from "node:path";
import type { ApiClient } from "../cluster/control-plane/api-client.ts";
import type { Installation } from "../harness/installation.ts";
import type { RunAccess } from "../harness/run-access.ts";
import { conditionOf, hasEnded, type RunView } from "../harness/run-view.ts";
import { findRunVolume, weightsDigest } from "../harness/run-volume.ts";
import { mnistManifest } from "../measure/trained-run.ts";
import { enqueue } from "./enqueue.ts";
import { type PlayedGang, playGang } from "./gang.ts";
import { startKueue, untilQueued } from "./kueue-controller.ts";
import { makePriority, makeQueue } from "./queue.ts";

/** A run that went through the queue, and the weights that it ended with. */
export type Queued = Readonly<{ run: RunView; weights: string }>;

/** What became of three runs in a queue with room for one. */
export type Played = Readonly<{
  version: string;
  steps: number;
  /** Began at once, and gave way to the urgent one. */
  first: Queued;
  /** Waited from its beginning, in nobody's way. */
  second: Queued;
  /** Came last, and was of a higher priority. */
  urgent: Queued;
  /** What the second said while it waited. */
  waited: Readonly<{ reason: string; message: string }>;
  gang: PlayedGang;
}>;

/** Long enough that the operator looks at a pod in a queue, once a minute, while it still waits. */
const steps = 500;
const env = { MNIST_STEPS: `${steps}`, MNIST_STEP_MS: "120", MNIST_EVALUATE_EVERY: "250" };
const intervalSteps = 50;
const queue = { namespace: "default", name: "gpus" } as const;
const priority = "urgent";
/** For all that happens in the queue, once it is there. */
const limitMs = 15 * 60_000;

/**
 * Three runs of one training in a queue of Kueue's that has room for one of them. The first trains; the second waits; for
 * the urgent one Kueue takes the room back from the first, which goes on from its last step when its turn comes again. A
 * gang follows.
 */
export async function playInQueue(
  installation: Installation,
  { report, signal }: Readonly<{ report: (line: string) => void; signal: AbortSignal }>,
): Promise<Played> {
  const { api, cluster } = installation;
  if (cluster.way !== "containers")
    throw new Error(
      `Cannot start Kueue beside the cluster: it takes container nodes on this machine, not ${cluster.way}`,
    );
  const { namespace } = queue;
  const place = { api, kubeconfigPath: cluster.kubeconfigPath, directory: join(cluster.directory, "kueue") };
  const kueue = await startKueue({ ...place, namespace, report, signal });
  try {
    await makePriority(api, priority, 1_000);
    await makeQueue(api, queue, 1, signal);
    await untilQueued(api, { namespace, queue: queue.name }, signal);
    report(`Kueue ${kueue.version} holds the queue ${queue.name}`);
    const limited = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
    const runs = await playRuns(api, { report, signal: limited });
    return { version: kueue.version, steps, ...runs, gang: await playGang(api, queue, limited) };
  } finally {
    await kueue.stop();
  }
}

async function playRuns(
  api: ApiClient,
  { report, signal }: Readonly<{ report: (line: string) => void; signal: AbortSignal }>,
): Promise<Pick<Played, "first" | "second" | "urgent" | "waited">> {
  const manifest = await mnistManifest({ env, intervalSteps });
  const first = await enqueue(api, queue, { name: "first", manifest });
  await first.waitFor("a checkpoint to be verified", signal, (run) => (run.status.latestVerified?.step ?? 0) > 0);
  const second = await enqueue(api, queue, { name: "second", manifest });
  await second.waitFor("its queue to hold it back", signal, (run) => waitOf(run).reason === "SchedulingGated");
  report("the first trains, the second waits");
  const urgent = await enqueue(api, queue, { name: "urgent", manifest, priority });
  await first.waitFor("the end of its first attempt", signal, (run) => endedAttempts(run) > 0);
  report("the first has given way");
  // Once it has begun, it has no more to say.
  const held = await second.waitFor("its queue's words", signal, (run) => isTold(run) || hasBegun(run));
  const waited = waitOf(held);
  report(`the second says: ${waited.message}`);
  const ends = { urgent: await end(urgent, api, signal), second: await end(second, api, signal) };
  report("the urgent one and the second have ended");
  return { first: await end(first, api, signal), ...ends, waited };
}

async function end(access: RunAccess, api: ApiClient, signal: AbortSignal): Promise<Queued> {
  const run = await access.waitFor(`the end of ${access.name.name}`, signal, hasEnded);
  const final = run.status.latestVerified;
  const weights = final === undefined ? "none" : await weightsDigest(await findRunVolume(api, run), final);
  return { run, weights };
}

/** Why the run does not advance, as it says itself; empty where it does. */
function waitOf(run: RunView): Played["waited"] {
  const progressing = conditionOf(run, "Progressing");
  if (progressing?.status !== "False") return { reason: "", message: "" };
  return { reason: progressing.reason, message: progressing.message };
}

function isTold(run: RunView): boolean {
  return waitOf(run).message.includes("quota");
}

function hasBegun({ status }: RunView): boolean {
  return status.attempts.some(({ firstStepTime }) => firstStepTime !== undefined);
}

function endedAttempts({ status }: RunView): number {
  return status.attempts.filter(({ cause }) => cause !== undefined).length;
}
