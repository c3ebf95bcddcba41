import { labels } from "@trainingrun/operator/api/names.ts";
import type { StoredObject } from "../model/api/object.ts";
import type { ApiWrite, ContainerLife, Event, FactOf, PodPart, StoreName } from "./history.ts";
import { LogTruth } from "./truth.ts";

/** A run as it stands, or as it last stood. */
export type RunView = { object: StoredObject; isGone: boolean; deletedAtMs: number | null };

/** A pod of a run as it stands, or as it last stood. */
export type PodView = {
  object: StoredObject;
  part: PodPart;
  owner: string | null;
  isGone: boolean;
  /** Taken away by somebody who did not wait for its kubelet. */
  isForced: boolean;
};

/** A trainer, agent or other container whose process is there. */
export type Living = Event<Extract<ContainerLife, { kind: "ContainerStarted" }>>;

/** A checkpoint whose bytes somebody but its writer has read. */
type Verified = Readonly<{ run: string; digest: string }>;

/** What was in memory: of a gang, also by worker. */
type Held = Pick<FactOf<"Sealed">, "content" | "shards">;

/** What stands at one moment of a play: everything that was told up to it. */
export class World {
  readonly runs = new Map<string, RunView>();
  readonly pods = new Map<string, PodView>();
  readonly living = new Set<Living>();
  readonly nodes = new Map<string, StoredObject>();
  /** What was in memory as it was saved, by run and digest of the manifest. */
  readonly sealed = new Map<string, Held>();
  readonly acknowledged = new Map<string, StoreName>();
  readonly stepped = new Map<string, number>();
  readonly asked = new Map<string, FactOf<"StopAsked">>();
  lease: StoredObject | null = null;
  part: FactOf<"Part">["part"] | null = null;
  readonly #logs = new Map<string, LogTruth>();
  readonly #storesOf = new Map<string, Set<StoreName>>();
  readonly #verified = new Set<string>();
  readonly #matched = new Set<string>();

  /** Takes in what happened. */
  take(event: Event): void {
    switch (event.kind) {
      case "Write":
        this.#write(event);
        return;
      case "Record":
        this.log(event.store, event.run).take(event);
        return;
      case "RecordsGone":
        this.log(event.store, event.run).lose(event.numbers, event.why);
        return;
      case "ContainerStarted":
        this.living.add(event);
        return;
      case "ContainerEnded":
        for (const living of this.living) if (isSameContainer(living, event)) this.living.delete(living);
        return;
      case "Sealed":
        this.sealed.set(keyOf(event), event);
        return;
      case "Acknowledged":
        this.acknowledged.set(keyOf(event), event.store);
        return;
      case "Verified":
        this.#verified.add(keyOf(event));
        this.#matched.add(`${event.pod} ${event.digest}`);
        return;
      case "Stepped":
        this.stepped.set(event.pod, Math.max(event.step, this.stepped.get(event.pod) ?? 0));
        return;
      case "StopAsked":
        this.asked.set(event.pod, event);
        return;
      case "Part":
        this.part = event.part;
        return;
      default:
        return;
    }
  }

  /** What is true of a run in a store. */
  log(store: StoreName, run: string): LogTruth {
    const key = `${store} ${run}`;
    const known = this.#logs.get(key);
    if (known !== undefined) return known;
    const made = new LogTruth();
    this.#logs.set(key, made);
    this.#storesOf.set(run, (this.#storesOf.get(run) ?? new Set<StoreName>()).add(store));
    return made;
  }

  /** What is true of a run in each store that has a log of it, or only in those of one kind. */
  logsOf(run: string, kind: "volume" | "bucket" | "" = ""): LogTruth[] {
    const stores = [...(this.#storesOf.get(run) ?? [])].filter((store) => store.startsWith(kind));
    return stores.map((store) => this.log(store, run));
  }

  /** Whether another process than its writer has read the checkpoint back. */
  isVerified(verified: Verified): boolean {
    return this.#verified.has(keyOf(verified));
  }

  /** Whether the agent of this pod itself has read the checkpoint. */
  hasMatched(pod: string, digest: string): boolean {
    return this.#matched.has(`${pod} ${digest}`);
  }

  /** What the trainer had in memory that saved this checkpoint, or all of a gang; undefined where none did. */
  contentOf(verified: Verified): string | undefined {
    return this.sealed.get(keyOf(verified))?.content;
  }

  /** What a worker had in memory as it saved its shard of this checkpoint, or all of it where it trained alone. */
  shareOf(verified: Verified, worker: number): string | undefined {
    const held = this.sealed.get(keyOf(verified));
    return held?.shards === undefined ? held?.content : held.shards[worker];
  }

  /** The run of a name as it stands; of several that had it, the one created last. */
  runNamed(namespace: string, name: string): RunView | undefined {
    return [...this.runs.values()]
      .filter(({ object: { metadata } }) => metadata.namespace === namespace && metadata.name === name)
      .at(-1);
  }

  /** The pods of an attempt, those included that are gone. */
  podsOf(run: string, attempt: number): PodView[] {
    return [...this.pods.values()].filter(({ part }) => part.run === run && part.attempt === attempt);
  }

  /** The trainers of a run whose processes are there. */
  trainersOf(run: string): Living[] {
    return [...this.living].filter((living) => living.run === run && living.container === "trainer");
  }

  #write(event: Event<ApiWrite>): void {
    const { object, change, resource } = event;
    const isGone = change === "DELETED";
    if (resource === "trainingruns") {
      const known = this.runs.get(object.metadata.uid);
      const isDeleted = isGone || object.metadata.deletionTimestamp !== undefined;
      const deletedAtMs = known?.deletedAtMs ?? (isDeleted ? event.atMs : null);
      this.runs.set(object.metadata.uid, { object, isGone, deletedAtMs });
    }
    if (resource === "pods") this.#writePod(event);
    if (resource === "leases") this.lease = isGone ? null : object;
    if (resource === "nodes" && !isGone) this.nodes.set(object.metadata.name, object);
    if (resource === "nodes" && isGone) this.nodes.delete(object.metadata.name);
  }

  #writePod({ object, change, by }: Event<ApiWrite>): void {
    const { uid, labels: carried = {}, ownerReferences = [] } = object.metadata;
    const run = carried[labels.runUid];
    const known = this.pods.get(uid);
    if (run === undefined && known === undefined) return;
    const part = known?.part ?? {
      run: run ?? "",
      attempt: Number(carried[labels.attempt] ?? 0),
      worker: Number(carried[labels.worker] ?? 0),
      pod: uid,
    };
    // Whose it was made: what somebody writes on it later makes it nobody else's.
    const made = ownerReferences.find(({ controller }) => controller)?.uid ?? null;
    const owner = known === undefined ? made : known.owner;
    const isGone = change === "DELETED";
    const isForced = known?.isForced || (isGone && by.role !== "Kubelet");
    this.pods.set(uid, { object, part, owner, isGone, isForced });
  }
}

function isSameContainer(a: Living, b: ContainerLife): boolean {
  return a.pod === b.pod && a.container === b.container;
}

function keyOf({ run, digest }: Verified): string {
  return `${run} ${digest}`;
}
