import { directoryName } from "@trainingrun/checkpoint/directory-name.ts";
import { fold, voidReason } from "@trainingrun/checkpoint/log/fold.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { type LogRecord, recordBytes, recordVersion } from "@trainingrun/checkpoint/log/record.ts";
import { DirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import type { Store } from "@trainingrun/checkpoint/store/store.ts";
import { z } from "zod";
import { type LostNode, loseNode } from "../cluster/container-node/lost-node.ts";
import type { ApiClient } from "../cluster/control-plane/api-client.ts";
import { isAlive, type ProcessIdentity, signalIfAlive } from "../cluster/processes/process-identity.ts";
import { mnistManifest } from "../measure/trained-run.ts";
import type { ClusterStore } from "./cluster-store.ts";
import { type Installation, systemNamespace } from "./installation.ts";
import { RunAccess, until } from "./run-access.ts";
import type { RunView } from "./run-view.ts";
import { findRunVolume } from "./run-volume.ts";
import { findPodProcess } from "./trainer-process.ts";

/** How long a node may be silent in these runs: the least that the API takes. */
export const fenceAfterSeconds = 30;

const env = { MNIST_STEPS: "1000000", MNIST_STEP_MS: "50", MNIST_EVALUATE_EVERY: "1000000" };
const intervalSteps = 20;

/** A run under `nodeLost: Fence` whose first attempt trains, and what it takes to lose that attempt's node. */
export type FencedRun = Readonly<{ access: RunAccess; node: string; log: Store; uid: string }>;

/** `store`: where its checkpoints are kept alone, with a directory of each pod's own beside it. */
type Start = Readonly<{ name: string; signal: AbortSignal; store?: ClusterStore }>;

/**
 * Starts a run away from the operator that leads, on a volume that both nodes may mount or on an object store alone, and
 * waits until it has saved.
 */
export async function startFencedRun({ api }: Installation, { name, signal, store }: Start): Promise<FencedRun> {
  const access = new RunAccess(api, { namespace: "default", name });
  const manifest = fenced(await mnistManifest({ env, intervalSteps }), await nodeOfLeader(api));
  await access.create(store === undefined ? onSharedVolume(manifest) : store.withStore(onNoVolume(manifest)));
  const run = await access.waitFor("a verified checkpoint", signal, isSaving);
  const node = run.status.attempts[0]?.pods[0]?.node;
  if (node === undefined) throw new Error(`Cannot lose the node of ${name}: its pod is on none`);
  const { uid } = run.metadata;
  const log = store === undefined ? await logOnVolume(api, run) : await store.open(uid);
  return { access, node, log, uid };
}

async function logOnVolume(api: ApiClient, run: RunView): Promise<Store> {
  return new DirectoryStore((await findRunVolume(api, run)).directory, run.metadata.uid);
}

/** What an attempt still runs on a node that is lost. */
export class Zombie {
  readonly node: LostNode;
  readonly #run: FencedRun;
  readonly #processes: Readonly<Record<"trainer" | "agent", ProcessIdentity>>;

  private constructor(run: FencedRun, node: LostNode, processes: Zombie["processes"]) {
    this.#run = run;
    this.node = node;
    this.#processes = processes;
  }

  /** Loses the node of a run's first attempt. */
  static async make({ cluster }: Installation, run: FencedRun): Promise<Zombie> {
    const attempt = { runUid: run.uid, attempt: 1 };
    const [trainer, agent] = [await findPodProcess(attempt, "trainer"), await findPodProcess(attempt, "agent")];
    if (trainer === null || agent === null) throw new Error("Cannot make a zombie: the attempt does not run");
    return new Zombie(run, await loseNode(cluster, run.node), { trainer, agent });
  }

  get processes(): Readonly<Record<"trainer" | "agent", ProcessIdentity>> {
    return this.#processes;
  }

  /** Waits until it has committed a checkpoint that it began after its node was lost. */
  async hasWrittenOn(signal: AbortSignal): Promise<void> {
    await until("a checkpoint that the lost attempt saved after its node fell silent", signal, async () => {
      const { checkpoints } = (await readLog(this.#run.log)).state;
      return checkpoints.some(({ attempt, time }) => attempt === 1 && Date.parse(time) > this.node.silentAtMs);
    });
  }

  /** Holds its processes where they are, as a machine that hangs. */
  freeze(): void {
    for (const process of Object.values(this.#processes)) signalIfAlive(process, "SIGSTOP");
  }

  /** Lets them go on with whatever they were about to do. */
  thaw(): void {
    for (const process of Object.values(this.#processes)) signalIfAlive(process, "SIGCONT");
  }

  /**
   * Puts a record under the next number, as a process does that had looked at the log just before it was held and wakes in
   * the midst of its append: too rare an instant to hit, and the one that the fence is for.
   */
  async appendLate(): Promise<void> {
    for (let tries = 0; tries < 100; tries += 1) {
      const { state } = await readLog(this.#run.log);
      const created = await this.#run.log.createRecord(state.last + 1, recordBytes(lateCommit(state.last)));
      if (created === "created") return;
    }
    throw new Error("Cannot append to the log: others took a hundred numbers");
  }

  /** Which of its processes have ended, with nobody to end them: their node is cut off and its kubelet stands still. */
  get ended(): readonly string[] {
    return Object.entries(this.#processes).flatMap(([role, process]) => (isAlive(process) ? [] : [role]));
  }
}

/** A commit of the first attempt, far ahead of all others: believed, it would be the newest checkpoint of the run. */
function lateCommit(after: number): LogRecord {
  const step = 900_000 + after;
  return {
    kind: "commit",
    attempt: 1,
    step,
    manifest: `blake3:${after.toString(16).padStart(64, "0")}`,
    directory: directoryName(step, 1),
    bytes: 1,
    metrics: [],
    unhealthy: false,
    time: new Date().toISOString(),
    writer: "zombie",
    version: recordVersion,
  };
}

/** Records of attempts that a newer one had shut out when they were appended: how many there are, and how many count. */
export async function recordsOfZombies(log: Store): Promise<Readonly<{ late: number; counted: number }>> {
  const { records } = await readLog(log);
  const seen = { late: 0, counted: 0 };
  for (const [index, entry] of records.entries()) {
    const before = fold(records.slice(0, index));
    if (!("record" in entry) || entry.record.attempt >= (before.opened?.attempt ?? 0)) continue;
    seen.late += 1;
    if (voidReason(before, entry.record) === null) seen.counted += 1;
  }
  return seen;
}

/** When an attempt after the first did its first step; null until one has. */
export function firstNewStepMs({ status }: RunView): number | null {
  const steps = status.attempts.flatMap(({ number, firstStepTime }) =>
    number > 1 && firstStepTime !== undefined ? [Date.parse(firstStepTime)] : [],
  );
  return steps.length === 0 ? null : Math.min(...steps);
}

function isSaving({ status }: RunView): boolean {
  return status.attempt === 1 && status.latestVerified !== undefined && status.attempts[0]?.firstStepTime !== undefined;
}

type Manifest = Awaited<ReturnType<typeof mnistManifest>>;

function fenced({ spec, ...manifest }: Manifest, avoided: string | undefined): Manifest {
  const elsewhere = { key: "kubernetes.io/hostname", operator: "NotIn", values: [avoided ?? "none"] };
  const preference = { weight: 100, preference: { matchExpressions: [elsewhere] } };
  const affinity = { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [preference] } };
  return {
    ...manifest,
    spec: {
      ...spec,
      template: { ...spec.template, spec: { ...spec.template.spec, affinity } },
      nodeLost: { policy: "Fence", afterSeconds: fenceAfterSeconds },
    },
  };
}

function onSharedVolume({ spec, ...manifest }: Manifest): Manifest {
  const claimTemplate = { accessModes: ["ReadWriteMany"], resources: { requests: { storage: "1Gi" } } };
  return { ...manifest, spec: { ...spec, checkpoint: { ...spec.checkpoint, volume: { claimTemplate } } } };
}

function onNoVolume({ spec, ...manifest }: Manifest): Manifest {
  const { volume: _, ...checkpoint } = spec.checkpoint;
  return { ...manifest, spec: { ...spec, checkpoint } };
}

const Leases = z.object({ items: z.array(z.object({ spec: z.object({ holderIdentity: z.string().nullish() }) })) });
const Pods = z.object({
  items: z.array(
    z.object({ metadata: z.object({ name: z.string() }), spec: z.object({ nodeName: z.string().optional() }) }),
  ),
});

/** Where the operator is that decides: how long its own loss takes is another measurement. */
async function nodeOfLeader(api: ApiClient): Promise<string | undefined> {
  const leases = Leases.parse(
    await api.expect("GET", `/apis/coordination.k8s.io/v1/namespaces/${systemNamespace}/leases`),
  );
  const pods = Pods.parse(await api.expect("GET", `/api/v1/namespaces/${systemNamespace}/pods`));
  const holders = leases.items.map(({ spec }) => spec.holderIdentity ?? "");
  const leader = pods.items.find(({ metadata }) => holders.some((holder) => holder.startsWith(metadata.name)));
  return (leader ?? pods.items[0])?.spec.nodeName;
}
