import type { AgentState } from "@trainingrun/checkpoint/contract/agent-state.ts";
import type { AgentRecord, TrainerRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import type { TrainingRun } from "../api/training-run.ts";

/** Milliseconds since 1970-01-01 UTC. The core reads no clock: it is told. */
export type Instant = number;

/**
 * Everything a decision may depend on, gathered by reads only. The caches may be stale: a decision made on an
 * old picture must be harmless, as long as it shows the operator's own writes of this run. The two places where staleness could be taken for an end ({@link Observed.gone},
 * {@link ObservedVolume}) are therefore filled by a live read.
 */
export type Observed = Readonly<{
  now: Instant;
  /** From `parseTrainingRun` of the cached object. */
  run: TrainingRun;
  /** Every pod whose label `trainingrun.dev/run` and controller uid are the run's, by `observePod`, in any order. */
  pods: readonly ObservedPod[];
  /** Pod uids of the newest ledger entry that the cache lacks and that a live read did not find under their name. */
  gone: readonly string[];
  /** False where this operator reads no nodes at all, so that none is ever known to be lost. */
  seesNodes?: boolean;
  /** One entry per name of `nodeNamesOf`: nodes of the run's pods, also of recorded ones that are gone. */
  nodes: readonly ObservedNode[];
  volume: ObservedVolume;
  /** The run that `spec.resume.from` names; absent where it names none. A copy that is old finds another checkpoint missing. */
  source?: ObservedSource;
  /** Null where there is none; only a deleted run whose objects go with it ever has one. */
  removal: ObservedRemoval | null;
  /** The Service of a gang that lives, by a live read. Absent where it was not looked for; then it is created all the same. */
  service?: "Present" | "Absent";
  /** The last answer of each agent; none for an agent that never answered. No decision of safety needs one. */
  reports: readonly AgentReport[];
  /** When this operator began to ask agents: none was silent before. Absent where nobody keeps that. */
  askingSince?: Instant;
  /** The last refusal per object name; forgotten once that object exists. */
  refusals: readonly CreateRefusal[];
}>;

/** A container of a pod, as the kubelet reports it. */
export type ObservedContainer<Record> = Readonly<{
  name: string;
  state:
    | Readonly<{ kind: "Waiting"; reason: string; message: string }>
    | Readonly<{ kind: "Running"; startedAt: Instant | null }>
    | ContainerEnd;
  /** The end before the present life of a container that was restarted (the agent may be). */
  previousEnd: ContainerEnd | null;
  /** How often the kubelet has started it again in this pod. */
  restarts: number;
  /** When it first ran in this pod, as far as the kubelet still knows. */
  startedAt: Instant | null;
  /** The record in its termination message, once its newest life has ended; null before, and when it left none. */
  record: Record | null;
  /** What the life before its newest one left. It tells what was done by then, and never how the attempt ends. */
  earlierRecord: Record | null;
}>;

/** A container that has ended. */
export type ContainerEnd = Readonly<{
  kind: "Terminated";
  exitCode: number;
  signal: number | null;
  reason: string;
  /** The termination message: a record, or the last lines of the log. */
  message: string;
  startedAt: Instant | null;
  finishedAt: Instant | null;
}>;

export type PodCondition = Readonly<{
  type: string;
  status: string;
  reason: string;
  message: string;
  since: Instant | null;
}>;

/** What the decisions need of a pod; made by `observePod` from the raw object. */
export type ObservedPod = Readonly<{
  name: string;
  uid: string;
  resourceVersion: string;
  /** Uid of the controlling owner, so that no decision touches another's pod (I7). */
  ownerUid: string | null;
  attempt: number;
  worker: number;
  /**
   * What somebody changed by which a recorded pod is known: its labels, by name, and whether nobody owns it any more. Empty
   * for others, which are what they say they are.
   */
  altered: readonly string[];
  createdAt: Instant;
  /** When its kubelet took it up, by the clock of the node; null before that. */
  startedAt: Instant | null;
  /** When somebody asked for the deletion: the API's timestamp less the grace period. */
  deletionRequestedAt: Instant | null;
  /** Its deletion waits for no kubelet any more, only for finalizers. */
  removedByForce: boolean;
  finalizers: readonly string[];
  node: string | null;
  /** What keeps it from the scheduler, by name. */
  gates: readonly string[];
  /** The queue that it waits in, or waited in, by its label. */
  queue: string | null;
  /** Under which name its queue has it together with the rest of its gang. */
  queueGroup: string | null;
  ip: string | null;
  phase: "Pending" | "Running" | "Succeeded" | "Failed" | "Unknown";
  reason: string;
  message: string;
  conditions: readonly PodCondition[];
  graceSeconds: number;
  /** The container named `trainer`, or the only regular one. */
  trainer: ObservedContainer<TrainerRecord>;
  /** The native sidecar, and the restore container where the framework needs one. */
  agent: ObservedContainer<AgentRecord>;
  restore: ObservedContainer<AgentRecord> | null;
  /** The template's other containers. Only a regular one can keep a pod alive after its trainer's end. */
  others: readonly (ObservedContainer<never> & Readonly<{ role: "Init" | "Regular" }>)[];
  /** What keeps its containers from being made, in the kubelet's words or its queue's; empty where nothing was said or asked. */
  problem: string;
}>;

/** The pod that removes the objects of a deleted run. */
export type ObservedRemoval = Readonly<{
  name: string;
  uid: string;
  createdAt: Instant;
  deletionRequested: boolean;
  /** Its container has ended with none of the run's objects left. */
  removed: boolean;
  /** The pod has ended without that and is not started again: it was evicted, its node was lost, its time was over. */
  failed: boolean;
  /** It has a node, and its container has never run. */
  isUnmade: boolean;
  /** Why it has not come to it, in its own record's words or the cluster's; empty where nothing is wrong. */
  reason: string;
  message: string;
}>;

/** A node that a pod of the run is bound to. */
export type ObservedNode = Readonly<{
  name: string;
  /** `Absent` only after a live read; `Unknown` without the right to read nodes. */
  presence: "Present" | "Absent" | "Unknown";
  /** The node's Ready condition; `Unknown` is how a silent node looks. */
  ready: "True" | "False" | "Unknown";
  readySince: Instant | null;
  /** Carries `node.kubernetes.io/out-of-service`: a person vouches that nothing runs there any more. */
  outOfService: boolean;
}>;

/** The claim the run's checkpoints lie on. `Absent` only after a live read has not found it. */
export type ObservedVolume =
  | Readonly<{ kind: "None" }>
  | Readonly<{ kind: "Absent"; claimName: string }>
  | Readonly<{
      kind: "Present";
      claimName: string;
      uid: string;
      phase: "Pending" | "Bound" | "Lost";
      /** Label `trainingrun.dev/run-uid`; null on a claim that the operator did not make. */
      runUid: string | null;
      accessModes: readonly string[];
      deletionRequested: boolean;
      /** The newest warning event about the claim, in the cluster's words; empty where none was seen. */
      problem: string;
    }>;

/** Another run of the namespace, of which a checkpoint is to be copied. */
export type ObservedSource =
  | Readonly<{ kind: "Absent" }>
  | Readonly<{ kind: "Unreadable"; message: string }>
  | Readonly<{
      kind: "Present";
      uid: string;
      claimName: string | null;
      objectStore: Readonly<{ endpoint: string; bucket: string; prefix: string }> | null;
    }>;

/** An agent's answer to a poll. */
export type AgentReport = Readonly<{
  podUid: string;
  /** When this answer came. */
  receivedAt: Instant;
  /** When the agent last answered at all, although with nothing new; absent where nobody keeps that. */
  heardAt?: Instant;
  state: AgentState;
}>;

/** The API server refused to create an object: quota, admission, a name that another object holds. */
export type CreateRefusal = Readonly<{
  kind: "Pod" | "PersistentVolumeClaim" | "Service";
  name: string;
  /** The HTTP status: 400, 403, 409 (a foreign object of that name), 413, 422, or 500 (a webhook that is away). */
  status: number;
  reason: string;
  message: string;
  at: Instant;
  /** The first of the refusals in a row of which this is the last. */
  firstAt: Instant;
  /** The generation of the run that it was made for. */
  generation: number;
  /** The first of those since the run was edited or room may have come: the more rarely it is tried, the longer that is. */
  inVainSince: Instant;
  /** How many runs wait for the same to come back by itself: the more there are, the more rarely each is tried. Absent: this one. */
  crowd?: number;
}>;
