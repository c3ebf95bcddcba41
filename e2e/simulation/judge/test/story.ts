import { labels } from "@trainingrun/operator/api/names.ts";
import { digestOf, LogBuilder } from "../../../../checkpoint/test/log-builder.ts";
import type { Fields, StoredObject } from "../../model/api/object.ts";
import type { Expected, ExpectedRun } from "../expected.ts";
import { type Actor, type Event, type Fact, type FactOf, History, type PodPart, type StoreName } from "../history.ts";

export const operator: Actor = { role: "Operator", name: "operator-0" };
export const kubelet: Actor = { role: "Kubelet", name: "node-0" };
export const user: Actor = { role: "User", name: "ada" };
export const volume: StoreName = "volume/claim-a";

/** What a run is expected to come to in these stories, with the changes that one needs. */
export function expectedRun(change: Partial<ExpectedRun> = {}): ExpectedRun {
  return {
    namespace: "team",
    name: "a",
    workers: 1,
    end: "Complete",
    targetStep: 12,
    finalContent: "weights-12",
    intervalSteps: 3,
    stepsPerSave: 1,
    saveMs: 500,
    obeys: true,
    hasHealthyStorage: true,
    isDamaged: false,
    losesNamespace: false,
    mayLackUploads: false,
    mayGoBack: false,
    noneVerified: "Fail",
    nodeLost: "Wait",
    deletionPolicy: "Retain",
    hasVolume: true,
    hasBucket: false,
    graceSeconds: 10,
    keptLast: 2,
    evidenceMs: 86_400_000,
    patienceMs: 120_000,
    ...change,
  };
}

export function expected(change: Partial<Expected> = {}): Expected {
  return {
    runs: [expectedRun()],
    decoys: [],
    requests: { perSecond: 20, burst: 30 },
    lease: { durationMs: 15_000, travelMs: 1_000 },
    blindMs: 60_000,
    lagSeconds: 60,
    ...change,
  };
}

/** Facts in the order in which a test tells them. Whatever is told of a run goes to the run `a` where nothing else is said. */
export class Story {
  #now = 0;
  readonly history = new History(() => this.#now);
  readonly #objects = new Map<string, StoredObject>();
  readonly #logs = new Map<StoreName, LogBuilder>();

  get events(): readonly Event[] {
    return this.history.events;
  }

  at(ms: number): this {
    this.#now = ms;
    return this;
  }

  note(fact: Fact): this {
    this.history.note(fact);
    return this;
  }

  /** Stores an object as it is after a write; without `fields` it goes. */
  write(resource: string, uid: string, fields: Fields | null, by: Actor = operator): this {
    const before = this.#objects.get(uid);
    if (fields === null) this.#objects.delete(uid);
    const object = objectOf(uid, before, fields ?? {});
    if (fields !== null) this.#objects.set(uid, object);
    const change = fields === null ? "DELETED" : before === undefined ? "ADDED" : "MODIFIED";
    return this.note({ kind: "Write", by, resource, change, before, object });
  }

  /** Creates the run, or writes its status. */
  run(status: Fields, { uid = "run-a", by = operator }: { uid?: string; by?: Actor } = {}): this {
    const isNew = !this.#objects.has(uid);
    const name = uid.replace("run-", "");
    const made = { metadata: { name, namespace: "team", generation: 1 }, spec: {} };
    if (isNew) this.write("trainingruns", uid, made, user);
    return this.write("trainingruns", uid, { status }, by);
  }

  /** Creates the pod of an attempt, or of a worker of it. */
  pod(
    attempt: number,
    { run = "run-a", by = operator, worker = 0, uid = `pod-${attempt}` }: Partial<MadePod> = {},
  ): this {
    const owners = [{ apiVersion: "v1", kind: "TrainingRun", name: "a", uid: run, controller: true }];
    const carried = { [labels.runUid]: run, [labels.attempt]: String(attempt), [labels.worker]: String(worker) };
    const metadata = { name: uid, namespace: "team", labels: carried, ownerReferences: owners };
    return this.write("pods", uid, { metadata }, by);
  }

  trainer(
    what: "ContainerStarted" | "ContainerEnded",
    attempt: number,
    more: Partial<FactOf<"ContainerEnded">> = {},
  ): this {
    return this.note({ ...part(attempt), container: "trainer", node: "node-0", ...more, kind: what });
  }

  /** Appends a record to a log by the words of the builder. */
  record(attempt: number, append: (log: LogBuilder) => unknown, store = volume): this {
    const log = this.#logs.get(store) ?? new LogBuilder();
    this.#logs.set(store, log);
    append(log);
    const newest = log.records.at(-1);
    if (newest === undefined || !("record" in newest)) throw new Error("Cannot tell of a record because none was made");
    return this.note({ kind: "Record", store, run: "run-a", ...newest, by: part(attempt) });
  }

  /** What a reader of the product makes of the log. */
  read(store = volume): this {
    const state = this.#logs.get(store)?.state;
    if (state === undefined) throw new Error("Cannot read a log that nobody has written");
    return this.note({ kind: "LogRead", store, run: "run-a", state });
  }

  saved(attempt: number, step: number): this {
    const saving = {
      ...part(attempt),
      store: volume,
      step,
      digest: digestOf(step, attempt),
      content: `weights-${step}`,
    };
    this.note({ kind: "Sealed", ...saving }).record(attempt, (log) => log.commit(attempt, step));
    return this.note({ kind: "Acknowledged", ...saving }).note({ kind: "Verified", ...saving });
  }
}

type MadePod = Readonly<{ run: string; by: Actor; worker: number; uid: string }>;

/** The pod of an attempt of the run `a`. */
export function part(attempt: number): PodPart {
  return { run: "run-a", attempt, worker: 0, pod: `pod-${attempt}` };
}

/** A ledger entry as the operator writes it. */
export function entry(number: number, ended: Fields = {}): Fields {
  return { number, generation: 1, pods: [{ uid: `pod-${number}` }], ...ended };
}

/** A run that is drained at step 7, saves, goes on and completes; two of its checkpoints go in time. */
export function wholeLife(): Story {
  const story = new Story();
  const disrupted = entry(1, { endTime: "t1", cause: "Drained", charge: "Disruption" });
  story.note({ kind: "Reach", operator: "operator-0", holds: true }).note({ kind: "Part", part: "Chaos" });
  story.note({ kind: "Ready", operator: "operator-0", holds: true });
  story.write("nodes", "node-0", {
    metadata: { name: "node-0" },
    status: { conditions: [{ type: "Ready", status: "True" }] },
  });
  story.write("leases", "lease", { spec: { holderIdentity: "operator-0" } });
  story
    .at(1_000)
    .run({ state: "Pending", attempt: 1, attempts: [{ ...entry(1), pods: [] }] })
    .pod(1);
  story.write("persistentvolumeclaims", "claim-a", {
    metadata: { name: "claim-a", labels: { [labels.runUid]: "run-a" } },
  });
  story
    .at(2_000)
    .record(1, (log) => log.open(1))
    .read();
  story.note({ kind: "Restored", ...part(1), store: null, resume: null });
  story.trainer("ContainerStarted", 1).note({ kind: "BeganFresh", ...part(1) });
  story.run({ state: "Running", attempt: 1, attempts: [entry(1)], totals: {} });
  for (let step = 1; step <= 7; step += 1) {
    story.at(2_000 + step * 1_000).note({ kind: "Stepped", ...part(1), step });
    if (step % 3 === 0) story.saved(1, step);
  }
  story
    .at(9_500)
    .note({ kind: "StopAsked", ...part(1), graceMs: 10_000 })
    .saved(1, 7);
  story.at(10_000).trainer("ContainerEnded", 1, { how: "Terminated", exitCode: 143 });
  const totals = { attempts: 1, disruptions: 1, failures: 0, stalls: 0 };
  story
    .at(10_500)
    .run({ state: "Pending", attempt: 2, attempts: [{ ...entry(2), pods: [] }, disrupted], totals })
    .pod(2);
  story
    .at(11_000)
    .record(2, (log) => log.open(2, digestOf(7, 1)))
    .read();
  const resume = { step: 7, digest: digestOf(7, 1) };
  story.note({ kind: "Verified", ...part(2), store: volume, ...resume });
  story.note({ kind: "Restored", ...part(2), store: volume, resume }).trainer("ContainerStarted", 2);
  story.note({ kind: "Loaded", ...part(2), ...resume, content: "weights-7" });
  for (let step = 8; step <= 12; step += 1) story.at(4_000 + step * 1_000).note({ kind: "Stepped", ...part(2), step });
  story.saved(2, 12).record(2, (log) => log.done(2, digestOf(12, 2)));
  story.at(16_500).record(2, (log) => log.delete(2, digestOf(3, 1)));
  story.note({ kind: "Removed", store: volume, run: "run-a", directory: "step-000000000003-a0001", by: part(2) });
  story.trainer("ContainerEnded", 2, { how: "Returned", exitCode: 0 });
  const complete = { type: "Complete", status: "True", reason: "TrainingDone", message: "done" };
  story.at(17_000).run({
    state: "Complete",
    attempt: 2,
    attempts: [entry(2, { endTime: "t2", cause: "Complete", charge: "Nothing" }), disrupted],
    totals: { ...totals, attempts: 2 },
    progress: { step: 12 },
    conditions: [complete],
  });
  return story;
}

/** The end of a play in which nothing was left to do. */
export function atRest(story: Story): Story {
  const whole = [
    { step: 12, digest: digestOf(12, 2), content: "weights-12" },
    { step: 7, digest: digestOf(7, 1), content: "weights-7" },
  ];
  story.at(200_000).note({ kind: "Part", part: "Heal" }).at(300_000).note({ kind: "Part", part: "Quiet" });
  story.at(900_000).note({ kind: "Lag", ...part(2), steps: 0, dueSeconds: 0 });
  story.note({ kind: "CacheCompared", operator: "operator-0", resource: "pods", difference: null });
  story.note({ kind: "Contents", store: volume, run: "run-a", whole, files: 12 });
  return story.note({ kind: "Part", part: "End" });
}

function objectOf(uid: string, before: StoredObject | undefined, fields: Fields): StoredObject {
  const given = fields.metadata as Partial<StoredObject["metadata"]> | undefined;
  const version = String(Number(before?.metadata.resourceVersion ?? 0) + 1);
  const metadata = { name: uid, namespace: "team", ...before?.metadata, ...given, uid, resourceVersion: version };
  return { apiVersion: "v1", kind: "Any", ...before, ...fields, metadata };
}
