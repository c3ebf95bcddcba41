import { parseTrainingRun, type TrainingRun } from "../src/api/training-run.ts";
import { decide } from "../src/core/decide.ts";
import type { Action, Decision } from "../src/core/decision.ts";
import { openEntry } from "../src/core/ledger.ts";
import { claimNameOf } from "../src/core/names.ts";
import { observeClaim } from "../src/core/observe-cluster.ts";
import { observePod, observeRecorded, type RecordedPlace } from "../src/core/observe-pod.ts";
import type { Observed, ObservedPod } from "../src/core/observed.ts";
import { workersOf } from "../src/core/workers.ts";
import { mergePatchOf } from "../src/kubernetes/merge-patch.ts";
import { handEvents } from "./hand-events.ts";
import { absence } from "./model-claim.ts";
import { ModelCluster } from "./model-cluster.ts";
import { renderPod } from "./model-pod.ts";
import { RemovalModel } from "./removal-model.ts";
import { type Fields, runOf, storedRun, templateOf } from "./run-builder.ts";

/*
 * A model of the cluster around one run: API server, kubelet, trainer and agent, as small as the properties
 * allow. It applies decisions as the real operator does: status first, then the actions in their order.
 */

export const settings = { agentImage: "agent:1", agentImagePullPolicy: "IfNotPresent", agentResources: {} } as const;

export type World = ReturnType<typeof createWorld>;

/** What all workers of a gang can write to at a time. */
export const sharedVolume = {
  claimTemplate: { accessModes: ["ReadWriteMany"], resources: { requests: { storage: "1Gi" } } },
};

/** A fresh world with a run in it and nothing else. `polls`: whether the operator reaches the agents. */
export function createWorld({
  spec = {},
  polls = true,
  workers = 1,
}: {
  spec?: Fields;
  polls?: boolean;
  workers?: number;
} = {}) {
  let version = 1;
  let edits = 0;
  const ofGang = workers === 1 ? {} : { workers, checkpoint: { volume: sharedVolume } };
  let stored: Fields | null = storedRun({ spec: { ...ofGang, ...spec } });
  let parsed = { version, run: runOf(parseTrainingRun(stored)) };
  const cluster = new ModelCluster((attempt) => {
    const entry = current().status.attempts?.find(({ number }) => number === attempt);
    return entry === undefined ? 1 : workersOf(entry);
  });
  const { pods, nodes } = cluster;
  let claim: Fields | null = null;
  let hasService = false;
  const removal = new RemovalModel();
  let writes = 0;

  const metadata = () => (stored?.metadata ?? {}) as Fields & { finalizers?: string[]; deletionTimestamp?: string };
  const status = () => (stored?.status ?? {}) as Fields;
  const touch = (fields: Fields) => {
    version += 1;
    if (stored)
      stored = {
        ...stored,
        ...fields,
        metadata: { ...metadata(), ...(fields.metadata as Fields), resourceVersion: `${version}` },
      };
  };

  function observe(view: readonly ObservedPod[] = podsNow()): Observed | null {
    if (stored === null) return null;
    const run = current();
    const missing = [...recorded().keys()].filter((uid) => !view.some((pod) => pod.uid === uid));
    const live = podsNow();
    return {
      now: cluster.now,
      run,
      pods: [...view, ...live.filter(({ uid }) => missing.includes(uid))].map((pod) => ({
        ...pod,
        ...recorded().get(pod.uid),
      })),
      gone: missing.filter((uid) => !live.some((pod) => pod.uid === uid)),
      nodes: nodes.observe(),
      volume: claim ? observeClaim(claim, "") : absence(claimNameOf(run)),
      removal: removal.observe(),
      ...(livingWorkers() > 1 ? { service: hasService ? "Present" : "Absent" } : {}),
      reports: polls ? cluster.reports() : [],
      refusals: [],
    };
  }

  function podsNow(): ObservedPod[] {
    return [...pods.values()].flatMap((pod) => {
      const raw = renderPod(pod, cluster.disk[0] ?? null);
      const place = recorded().get(pod.uid);
      return (place === undefined ? observePod(raw) : observeRecorded(raw, current(), place)) ?? [];
    });
  }

  function current(): TrainingRun {
    if (stored !== null && parsed.version !== version) parsed = { version, run: runOf(parseTrainingRun(stored)) };
    return parsed.run;
  }

  /** How many workers the open attempt has. */
  function livingWorkers(): number {
    const entry = openEntry(current().status);
    return entry === null ? 0 : workersOf(entry);
  }

  /** By uid, which of the living attempt's pods the ledger says each is. */
  function recorded(): ReadonlyMap<string, RecordedPlace> {
    const entry = openEntry(current().status);
    return new Map(
      entry?.pods.map(({ uid, worker }, index) => [uid, { attempt: entry.number, worker: worker ?? index }]),
    );
  }

  /** One pass of the operator; it dies after `limit` writes. Returns whether it had anything to write. */
  function pass(options: { limit?: number; view?: readonly ObservedPod[] } = {}): {
    decision: Decision | null;
    wrote: boolean;
  } {
    const observed = observe(options.view);
    if (observed === null) return { decision: null, wrote: false };
    const decision = decide(observed, settings);
    let left = options.limit ?? Number.POSITIVE_INFINITY;
    const changed = mergePatchOf(observed.run.status, decision.status) !== undefined;
    if (changed) {
      if (left <= 0) return { decision, wrote: true };
      left -= 1;
      writes += 1;
      touch({ status: structuredClone(decision.status) });
    }
    for (const action of decision.actions) {
      if (left <= 0) break;
      left -= 1;
      writes += 1;
      act(action);
    }
    return { decision, wrote: changed || decision.actions.length > 0 };
  }

  function act(action: Action): void {
    if (action.kind === "HoldRun") touch({ metadata: { finalizers: ["trainingrun.dev/final-save"] } });
    else if (action.kind === "ReleaseRun") releaseRun();
    else if (action.kind === "DeleteRun") deleteRun();
    else if (action.kind === "DeleteClaim") claim = null;
    else if (action.kind === "CreatePod") createPod(action.manifest.metadata);
    else if (action.kind === "CreateRemovalPod") removal.create(action.manifest, cluster.now);
    else if (action.kind === "CreateService") hasService = true;
    else if (action.kind === "CreateClaim") {
      claim ??= { ...action.manifest, metadata: { ...action.manifest.metadata, uid: "claim-1" } };
    } else if (action.kind === "MendPod") mendPod(action);
    else if (action.kind === "DeletePod" || action.kind === "ReleasePod") actOnPod(action);
    else action satisfies never;
  }

  function createPod(meta: Fields & { name: string }): void {
    if (livingWorkers() > 1 && !hasService) throw new Error(`${meta.name} cannot find the other workers`);
    cluster.create(meta);
  }

  function actOnPod(action: Extract<Action, { kind: "DeletePod" | "ReleasePod" }>): void {
    const { name, uid } = action;
    removal.delete({ name, uid });
    const pod = pods.get(name);
    if (pod?.uid !== uid) return;
    if (action.kind === "ReleasePod") cluster.release(pod);
    else if (action.force) cluster.removeByForce(pod);
    else cluster.delete(pod);
  }

  function mendPod({ name, uid, labels }: Extract<Action, { kind: "MendPod" }>): void {
    const pod = pods.get(name);
    if (pod?.uid !== uid) return;
    pod.labels = { ...pod.labels, ...labels };
    pod.owned = true;
  }

  function releaseRun(): void {
    touch({ metadata: { finalizers: [] } });
    if (metadata().deletionTimestamp) stored = null;
  }

  function deleteRun(): void {
    if (stored === null || metadata().deletionTimestamp) return;
    if ((metadata().finalizers ?? []).length === 0) stored = null;
    else touch({ metadata: { deletionTimestamp: new Date(cluster.now).toISOString() } });
  }

  /** Everything that can befall the run besides the operator. Each is a no-op where it does not apply. */
  const events = {
    ...cluster.events,
    ...handEvents({
      recordedPods: () => cluster.alive().filter(({ uid }) => recorded().has(uid)),
      dropFinalizer: () => (metadata().deletionTimestamp ? undefined : touch({ metadata: { finalizers: [] } })),
      dropService: () => {
        hasService = false;
      },
    }),
    suspend: () => edit({ suspend: true }),
    resume: () => edit({ suspend: false }),
    /** Changes what the pods are made of. */
    editTemplate: () => edit({ template: templateOf(`example.com/mnist:${edits}`) }),
    /** Changes how many there are. */
    editWorkers: () => {
      if (workers > 1) edit({ workers: 1 + (edits % workers) });
    },
    /** Changes nothing that a pod is made of. */
    editRetry: () => edit({ retry: { disruptions: 1_000_000 - edits } }),
    /** Asks for a checkpoint of a run that is not there. */
    editFork: () => edit({ resume: { from: { run: "other", step: 1 } } }),
    /** Asks for it no more. */
    editBack: () => {
      if ((stored?.spec as Fields | undefined)?.resume !== undefined) edit({ resume: undefined });
    },
  };

  function edit(fields: Fields): void {
    if (stored === null) return;
    edits += 1;
    touch({
      spec: { ...(stored.spec as Fields), ...fields },
      metadata: { generation: Number(metadata().generation) + 1 },
    });
  }

  return {
    events,
    pass,
    podsNow,
    deleteRun,
    /** Lets time go by in which nothing happens. */
    wait: (milliseconds: number) => {
      cluster.now += milliseconds;
    },
    alive: () => cluster.alive(),
    /** What runs although nobody sees it. */
    get zombies() {
      return cluster.zombies;
    },
    /** Checkpoints that count, newest first, and those that were appended below a newer attempt's opening. */
    get disk() {
      return cluster.disk;
    },
    voided: cluster.voided,
    get silentNode() {
      return nodes.silent;
    },
    creates: cluster.creates,
    deletes: cluster.deletes,
    accounted: cluster.accounted,
    removal,
    observe,
    livingWorkers,
    get hasService() {
      return hasService;
    },
    get now() {
      return cluster.now;
    },
    get writes() {
      return writes;
    },
    get run() {
      return stored;
    },
    get status() {
      return status();
    },
    get pods() {
      return [...pods.values()];
    },
  };
}
