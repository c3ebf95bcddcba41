import type { LogRecord } from "@trainingrun/checkpoint/log/record.ts";
import type { RunState } from "@trainingrun/checkpoint/log/state.ts";
import type { StoredObject } from "../model/api/object.ts";

/** Who did something: what it is, and which one of them. */
export type Actor = Readonly<{
  role: "Operator" | "Kubelet" | "Scheduler" | "Controller" | "User" | "Plan" | "Agent" | "Trainer";
  name: string;
}>;

/** A pod's part in a run, as its labels say. `worker` is 0 where there is one. */
export type PodPart = Readonly<{ run: string; attempt: number; worker: number; pod: string }>;

/** A place that holds checkpoints of runs: `volume/NAME` or `bucket/NAME`. */
export type StoreName = `${"volume" | "bucket"}/${string}`;

/** One type per kind, so that a list can be narrowed to one of them. */
type Each<K extends string, About> = K extends string ? About & Readonly<{ kind: K }> : never;

/** Something was stored, changed or taken away at the API server. Refused requests and writes that change nothing are none. */
export type ApiWrite = Readonly<{
  kind: "Write";
  by: Actor;
  /** Plural, as in paths: `pods`, `trainingruns`. */
  resource: string;
  change: "ADDED" | "MODIFIED" | "DELETED";
  /** Absent where it was created. */
  before?: StoredObject | undefined;
  /** As it stands afterwards, or as it last stood. */
  object: StoredObject;
}>;

/** A request that the API server answered, whatever it said and whether or not the answer arrived. */
export type ApiRequest = Readonly<{
  kind: "Request";
  by: Actor;
  verb: "get" | "list" | "watch" | "create" | "update" | "patch" | "delete";
  resource: string;
  namespace?: string | undefined;
  name?: string | undefined;
  subresource?: string | undefined;
  /** What it demanded of the object, by a precondition, a field of the patch or a `test`. */
  demands: Readonly<{ uid?: string | undefined; resourceVersion?: string | undefined }>;
  code: number;
  /** The version of the server when it had acted. */
  version: number;
}>;

/** A record was created under a number of a store's log: what every reader of the store finds from now on. */
export type LogAppend = Readonly<{
  kind: "Record";
  store: StoreName;
  run: string;
  number: number;
  record: LogRecord;
  /** The pod whose process wrote it. */
  by: PodPart;
}>;

/** Records that readers find no more, or find broken: `Pruned` by compaction, `Cut` by a loss of power, `Damaged` by a fault. */
export type RecordsGone = Readonly<{
  kind: "RecordsGone";
  store: StoreName;
  run: string;
  numbers: readonly number[];
  why: "Pruned" | "Cut" | "Damaged";
}>;

/** What the product's own `readLog` made of a store's log, at a restore's open and at the end. */
export type LogReading = Readonly<{
  kind: "LogRead";
  store: StoreName;
  run: string;
  /** Undefined for the judge's own reading at the end. */
  by?: PodPart | undefined;
  state: RunState;
}>;

/**
 * A trainer has begun to save, and knows the digest of its manifest (`Sealed`); its save has returned as committed
 * (`Acknowledged`). `content` is a digest of what it held in memory. Of a gang, `Sealed` is told once for all, by who made
 * one checkpoint of their shards: `shards` is then what each worker held, by its number.
 */
export type Saving = Each<
  "Sealed" | "Acknowledged",
  PodPart &
    Readonly<{
      store: StoreName;
      step: number;
      digest: string;
      content: string;
      shards?: readonly string[] | undefined;
    }>
>;

/** A worker of a gang has given its shard of a step its seal: the others may rely on it. */
export type ShardSealing = PodPart & Readonly<{ kind: "ShardSealed"; store: StoreName; step: number }>;

/** A commit was appended on a volume: what stands there of its checkpoint, and what a loss of power could still take of it. */
export type Commitment = Readonly<{
  kind: "Committed";
  store: StoreName;
  run: string;
  attempt: number;
  step: number;
  digest: string;
  /** How many workers have saved it, by its manifest. */
  workers: number;
  lacking: readonly string[];
}>;

/** The agent of another process has read a checkpoint back and told the operator that it is whole. */
export type Verifying = PodPart & Readonly<{ kind: "Verified"; store: StoreName; step: number; digest: string }>;

/** A checkpoint was taken away, or began to be: the first of its files was renamed, unlinked or removed. */
export type Removal = Readonly<{
  kind: "Removed";
  store: StoreName;
  run: string;
  /** Name of its directory below `data/`. */
  directory: string;
  /** Absent where a fault or a user did it. */
  by?: PodPart | undefined;
}>;

/** A path that a process of a pod wrote to or removed, where it is not below what the pod may touch. */
export type Trespass = PodPart & Readonly<{ kind: "Trespass"; path: string }>;

/** The restore has handed over: `control/restored` stands, with this base. */
export type HandOver = PodPart &
  Readonly<{ kind: "Restored"; store: StoreName | null; resume: Readonly<{ step: number; digest: string }> | null }>;

/** The trainer has loaded what was handed over; `content` as it came out of the files. */
export type Loading = PodPart & Readonly<{ kind: "Loaded"; step: number; digest: string; content: string }>;

/** The trainer has begun at step 0. */
export type FreshStart = PodPart & Readonly<{ kind: "BeganFresh" }>;

/** The trainer has finished a step. */
export type Step = PodPart & Readonly<{ kind: "Stepped"; step: number }>;

/** A container's process was started, or is gone for good. */
export type ContainerLife = Each<
  "ContainerStarted" | "ContainerEnded",
  PodPart &
    Readonly<{
      container: "trainer" | "agent" | "restore" | "remove";
      node: string;
      /**
       * How the process ended: by itself, by a crash that the program of the scenario has at this step, or by others.
       * `Terminated`: because of SIGTERM, with whatever exit code. `ByPeer`: unasked, because another worker of its gang was
       * asked to stop, or is gone.
       */
      how?: "Returned" | "Planned" | "Terminated" | "Killed" | "OutOfMemory" | "NodeLost" | "ByPeer" | undefined;
      exitCode?: number | undefined;
    }>
>;

/** A container was asked to stop: SIGTERM, with so much time before SIGKILL. */
export type StopAsked = PodPart & Readonly<{ kind: "StopAsked"; graceMs: number }>;

/** The agent of a pod answered somebody who asked for an agent of these uids. */
export type AgentAnswer = PodPart &
  Readonly<{ kind: "AgentAnswered"; by: Actor; askedRun: string; askedPod: string; taken: boolean }>;

/** The agent of a pod has told an operator that checkpoints which had been whole do not verify on its node. Told once. */
export type Suspicion = PodPart & Readonly<{ kind: "NodeSuspected" }>;

/** A fault of the plan began, met something for the first time, or is over. */
export type FaultLife = Each<
  "FaultBegan" | "FaultMet" | "FaultEnded",
  Readonly<{
    /** Its id within the plan. */
    id: string;
    /** Its kind within the plan, such as `PodEvicted`. */
    fault: string;
    /** The states of the runs at that instant by their status: with the fault's kind they are the cells that were hit. */
    phases: readonly string[];
  }>
>;

/** An operator has begun or ceased to be blind for a kind of object, ready, or in reach of a well server. */
export type Sighting = Each<
  "Sight" | "Ready" | "Reach",
  Readonly<{
    operator: string;
    /** For `Sight`: the plural. */
    resource?: string | undefined;
    /** Sees, is ready, could reach a server that answers. */
    holds: boolean;
  }>
>;

/** What a cache of a synced operator lacks or has too much, once the server has been quiet; null where it is equal. */
export type CacheComparison = Readonly<{
  kind: "CacheCompared";
  operator: string;
  resource: string;
  difference: string | null;
}>;

/** An operator's process began or came to an end; `why` is the error's text, or what the plan did to it. */
export type ProgramLife = Each<
  "ProgramStarted" | "ProgramEnded",
  Readonly<{ who: Actor; how?: "Returned" | "Threw" | "Killed" | undefined; why?: string | undefined }>
>;

/** A part of the play begins: faults until `Heal`, no more of them until `Quiet`, then only waiting until `End`. */
export type PartOfPlay = Readonly<{ kind: "Part"; part: "Chaos" | "Heal" | "Quiet" | "End" }>;

/** How far a run's bucket is behind its volume, as the agent tells at the end of the play. */
export type LagReading = PodPart & Readonly<{ kind: "Lag"; steps: number; dueSeconds: number }>;

/** What a store holds of a run at the end. */
export type StoreContents = Readonly<{
  kind: "Contents";
  store: StoreName;
  run: string;
  /** Whole checkpoints, by the judge's own reading of every byte. */
  whole: readonly Readonly<{ step: number; digest: string; content: string }>[];
  /** How many files or objects are left of the run, of whatever kind. */
  files: number;
}>;

/** Whatever the judge is told of. Instants are added when it is noted. */
export type Fact =
  | AgentAnswer
  | ApiRequest
  | ApiWrite
  | CacheComparison
  | Commitment
  | ContainerLife
  | FaultLife
  | FreshStart
  | HandOver
  | LagReading
  | Loading
  | LogAppend
  | LogReading
  | PartOfPlay
  | ProgramLife
  | RecordsGone
  | Removal
  | Saving
  | ShardSealing
  | Sighting
  | Step
  | StopAsked
  | StoreContents
  | Suspicion
  | Trespass
  | Verifying;

/** A fact and when it was one, in virtual milliseconds. */
export type Event<F extends Fact = Fact> = F & Readonly<{ atMs: number }>;

/** The facts of one kind. */
export type FactOf<K extends Fact["kind"]> = Extract<Fact, { kind: K }>;

/**
 * What happened in a play, in its order, as those saw it who cannot be deceived: the models. Nothing in it is what the
 * product says of itself, except where a fact is that it said so.
 */
export class History {
  readonly #now: () => number;
  readonly #events: Event[] = [];

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Takes a fact in, at the present instant. */
  note(fact: Fact): void {
    this.#events.push({ ...fact, atMs: this.#now() });
  }

  /** All of it, oldest first. */
  get events(): readonly Event[] {
    return this.#events;
  }
}

/** The events of some kinds, oldest first. */
export function eventsOf<K extends Fact["kind"]>(events: readonly Event[], ...kinds: readonly K[]): Event<FactOf<K>>[] {
  const wanted: ReadonlySet<string> = new Set(kinds);
  return events.filter((event): event is Event<FactOf<K>> => wanted.has(event.kind));
}
