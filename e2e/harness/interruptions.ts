import { kill } from "node:process";
import type { ApiClient } from "../cluster/control-plane/api-client.ts";
import { ApiRefused } from "../cluster/control-plane/api-error.ts";
import { attemptOf, type RunAccess, until } from "./run-access.ts";
import type { PodView, RunView } from "./run-view.ts";
import { flipOneBit, type RunVolume, saveInFlight, wipe } from "./run-volume.ts";
import { findTrainerProcess } from "./trainer-process.ts";

/** What can be done to every run. Each is the real thing: the same calls and signals that take pods away in a cluster. */
export const interruptionKinds = [
  "eviction",
  "eviction during a save",
  "preemption",
  "SIGKILL",
  "damaged checkpoint",
] as const;
/** The last one is for runs with an object store: without one, nothing would be left to go on from. */
export type InterruptionKind = (typeof interruptionKinds)[number] | "lost volume";

/** One interruption, as it was made. */
export type Interrupted = Readonly<{
  kind: InterruptionKind;
  /** The one that it befell. */
  attempt: number;
  /** The last step that the run's status had shown. */
  atStep: number;
  /** Epoch milliseconds of the deed. */
  atMs: number;
  detail: string;
}>;

type Victim = Readonly<{ api: ApiClient; run: RunAccess; volume: RunVolume; signal: AbortSignal }>;
/** What a deed came to: its instant is that of the call or signal itself, not of the wait for the right moment. */
type Deed = Pick<Interrupted, "attempt" | "atMs" | "detail">;

/** Interrupts the run in the way asked for, and resolves as soon as that is done; recovery is for the caller to await. */
export async function interrupt(kind: InterruptionKind, victim: Victim): Promise<Interrupted> {
  const deeds = {
    eviction: evictBetweenSaves,
    "eviction during a save": evictDuringSave,
    preemption: preempt,
    SIGKILL: killTrainer,
    "damaged checkpoint": damageNewest,
    "lost volume": loseVolume,
  } satisfies Record<InterruptionKind, (victim: Victim) => Promise<Deed>>;
  const before = await victim.run.get();
  const deed = await deeds[kind](victim);
  return { kind, atStep: before.status.progress?.step ?? 0, ...deed };
}

async function evictBetweenSaves(victim: Victim): Promise<Deed> {
  await until("a moment between two saves", victim.signal, async () => !(await saveInFlight(victim.volume)));
  return await evict(victim);
}

/** Watches for the next save, and evicts within a few milliseconds of seeing it. */
async function evictDuringSave(victim: Victim): Promise<Deed> {
  const deadline = AbortSignal.any([victim.signal, AbortSignal.timeout(60_000)]);
  await until(`a save of ${victim.run.name.name}`, deadline, () => saveInFlight(victim.volume), { everyMs: 1 });
  return await evict(victim);
}

async function evict(victim: Victim): Promise<Deed> {
  const pod = await livePod(victim);
  const { metadata } = pod;
  const atMs = Date.now();
  await victim.api.expect("POST", `/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}/eviction`, {
    apiVersion: "policy/v1",
    kind: "Eviction",
    metadata: { name: metadata.name, namespace: metadata.namespace },
    deleteOptions: { preconditions: { uid: metadata.uid } },
  });
  return { attempt: attemptOf(pod), atMs, detail: `pod ${metadata.name} evicted through the Eviction API` };
}

const priorityClass = "trainingrun-e2e-urgent";

/** A pod of higher priority that needs the GPU of the run's node; it leaves again once the run's pod has gone. */
async function preempt(victim: Victim): Promise<Deed> {
  const pod = await livePod(victim);
  const { metadata, spec } = pod;
  const name = `urgent-${metadata.uid.slice(0, 8)}`;
  await victim.api.request("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", {
    apiVersion: "scheduling.k8s.io/v1",
    kind: "PriorityClass",
    metadata: { name: priorityClass },
    value: 1_000_000,
  });
  const path = `/api/v1/namespaces/${metadata.namespace}/pods`;
  // Admission hears of a class a moment after it stands, and refuses its pods until then.
  await until(`pod ${name} to be admitted with priority class ${priorityClass}`, victim.signal, async () => {
    try {
      await victim.api.expect("POST", path, urgentPod(name, spec.nodeName));
      return true;
    } catch (error) {
      if (error instanceof ApiRefused && error.message.includes("no PriorityClass")) return false;
      throw error;
    }
  });
  const atMs = Date.now();
  const gone = async () => {
    const live = (await victim.run.pods()).find((found) => found.metadata.uid === metadata.uid);
    return live === undefined || live.metadata.deletionTimestamp !== undefined;
  };
  try {
    await until(`pod ${metadata.name} to be preempted by ${name}`, victim.signal, gone);
  } finally {
    await victim.api.request("DELETE", `${path}/${name}?gracePeriodSeconds=0`);
  }
  return { attempt: attemptOf(pod), atMs, detail: `pod ${metadata.name} preempted by ${name} on ${spec.nodeName}` };
}

function urgentPod(name: string, node: string | undefined): unknown {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name },
    spec: {
      priorityClassName: priorityClass,
      nodeSelector: { "kubernetes.io/hostname": node },
      restartPolicy: "Never",
      containers: [
        {
          name: "urgent",
          // Never pulled and never run: the pod is deleted as soon as it has been given the node.
          image: "localhost/trainingrun/never-run:dev",
          imagePullPolicy: "Never",
          resources: { limits: { "nvidia.com/gpu": 1 } },
        },
      ],
    },
  };
}

async function killTrainer(victim: Victim): Promise<Deed> {
  const pod = await livePod(victim);
  const { metadata } = await victim.run.get();
  const pid = await findTrainerProcess(metadata.uid, attemptOf(pod));
  if (pid === null) throw new Error(`Cannot kill the trainer of ${pod.metadata.name}: no such process on this machine`);
  const atMs = Date.now();
  kill(pid, "SIGKILL");
  return { attempt: attemptOf(pod), atMs, detail: `trainer of ${pod.metadata.name} killed with SIGKILL` };
}

/** Flips one bit in the newest checkpoint: the restore has to find it, refuse it, and take the one before. */
async function damageNewest(victim: Victim): Promise<Deed> {
  return await whileSuspended(victim, async (stopped) => {
    const newest = stopped.status.latestVerified;
    if (newest === undefined) throw new Error("Cannot damage the newest checkpoint: none was verified yet");
    return `${await flipOneBit(victim.volume, newest)} flipped`;
  });
}

/** Removes everything that the run has on its volume, log and all: what it goes on from is what the object store has. */
async function loseVolume(victim: Victim): Promise<Deed> {
  return await whileSuspended(victim, async ({ status: { latestVerified } }) => {
    await wipe(victim.volume);
    const where = latestVerified?.tiers.join(" and ") ?? "nowhere";
    return `everything on the volume removed (step ${latestVerified?.step} was on ${where})`;
  });
}

/** Stops the run through `suspend`, does something to it, and lets it go on. The deed's instant is when it may go on. */
async function whileSuspended(victim: Victim, act: (stopped: RunView) => Promise<string>): Promise<Deed> {
  await victim.run.patchSpec({ suspend: true });
  const stopped = await victim.run.waitFor("the run to be suspended", victim.signal, isSuspended);
  const done = await act(stopped);
  const atMs = Date.now();
  await victim.run.patchSpec({ suspend: false });
  return { attempt: stopped.status.attempt ?? 0, atMs, detail: `${done} while the run was suspended` };
}

function isSuspended(run: RunView): boolean {
  return run.status.conditions.some(({ type, status }) => type === "Suspended" && status === "True");
}

async function livePod(victim: Victim): Promise<PodView> {
  let pod: PodView | null = null;
  await until(`a live pod of ${victim.run.name.name}`, victim.signal, async () => {
    pod = await victim.run.livePod();
    return pod !== null;
  });
  if (pod === null) throw new Error(`Cannot interrupt ${victim.run.name.name}: it has no live pod`);
  return pod;
}
