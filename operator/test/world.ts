import type { CheckpointSummary } from "@trainingrun/checkpoint/contract/checkpoint-summary.ts";
import { parseTrainingRun, type TrainingRun } from "../src/api/training-run.ts";
import { decide } from "../src/core/decide.ts";
import type { Action, Decision } from "../src/core/decision.ts";
import { openEntry } from "../src/core/ledger.ts";
import { claimNameOf } from "../src/core/names.ts";
import { observeClaim } from "../src/core/observe-cluster.ts";
import { observePod, observeRecorded, type RecordedPlace } from "../src/core/observe-pod.ts";
import type { AgentReport, Observed, ObservedPod } from "../src/core/observed.ts";
import { mergePatchOf } from "../src/kubernetes/merge-patch.ts";
import { handEvents } from "./hand-events.ts";
import { absence } from "./model-claim.ts";
import { ModelNodes } from "./model-nodes.ts";
import { type End, type ModelPod, preempted, renderPod, reportOf, summary, targetStep } from "./model-pod.ts";
import { RemovalModel } from "./removal-model.ts";
import { type Fields, runOf, start, storedRun, templateOf } from "./run-builder.ts";

/*
 * A model of the cluster around one run: API server, kubelet, trainer and agent, as small as the properties
 * allow. It applies decisions as the real operator does: status first, then the actions in their order.
 */

export const settings = { agentImage: "agent:1", agentImagePullPolicy: "IfNotPresent", agentResources: {} } as const;

export type World = ReturnType<typeof createWorld>;

/** A fresh world with a run in it and nothing else. `polls`: whether the operator reaches the agents. */
export function createWorld({ spec = {}, polls = true }: { spec?: Fields; polls?: boolean } = {}) {
  let now = start;
  let version = 1;
  let stored: Fields | null = storedRun({ spec });
  let parsed = { version, run: runOf(parseTrainingRun(stored)) };
  const pods = new Map<string, ModelPod>();
  let claim: Fields | null = null;
  const removal = new RemovalModel();
  const nodes = new ModelNodes();
  /** What runs on a silent node although its object is gone. */
  let zombies: ModelPod[] = [];
  let disk: CheckpointSummary[] = [];
  /** The highest attempt that has opened the log: what a lower one appends is void. */
  let opened = 0;
  const counted = new Set<string>();
  const voided: CheckpointSummary[] = [];
  const creates: string[] = [];
  const deletes: string[] = [];
  const accounted: string[] = [];
  let writes = 0;

  const metadata = () => (stored?.metadata ?? {}) as Fields & { finalizers?: string[]; deletionTimestamp?: string };
  const status = () => (stored?.status ?? {}) as Fields;
  const alive = () => [...pods.values()].filter((pod) => pod.finishedAt === null);
  /** Those that a kubelet acts on and tells of. */
  const tended = () => alive().filter(({ node }) => nodes.silent !== node);
  const running = () => [...alive(), ...zombies].filter(({ started }) => started);
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
      now,
      run,
      pods: [...view, ...live.filter(({ uid }) => missing.includes(uid))].map((pod) => ({
        ...pod,
        ...recorded().get(pod.uid),
      })),
      gone: missing.filter((uid) => !live.some((pod) => pod.uid === uid)),
      nodes: nodes.observe(),
      volume: claim ? observeClaim(claim, "") : absence(claimNameOf(run)),
      removal: removal.observe(),
      reports: polls ? reports() : [],
      refusals: [],
    };
  }

  function reports(): AgentReport[] {
    return alive().flatMap((pod) => {
      if (pod.node === nodes.silent) return nodes.lastReports.filter(({ podUid }) => podUid === pod.uid);
      return pod.started ? [reportOf(pod, { disk, now })] : [];
    });
  }

  function podsNow(): ObservedPod[] {
    return [...pods.values()].flatMap((pod) => {
      const raw = renderPod(pod, disk[0] ?? null);
      const place = recorded().get(pod.uid);
      return (place === undefined ? observePod(raw) : observeRecorded(raw, current(), place)) ?? [];
    });
  }

  function current(): TrainingRun {
    if (stored !== null && parsed.version !== version) parsed = { version, run: runOf(parseTrainingRun(stored)) };
    return parsed.run;
  }

  /** By uid, which of the living attempt's pods the ledger says each is. */
  function recorded(): ReadonlyMap<string, RecordedPlace> {
    const entry = openEntry(current().status);
    return new Map(entry?.pods.map(({ uid }, worker) => [uid, { attempt: entry.number, worker }]));
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
    else if (action.kind === "CreateRemovalPod") removal.create(action.manifest, now);
    else if (action.kind === "CreateClaim") {
      claim ??= { ...action.manifest, metadata: { ...action.manifest.metadata, uid: "claim-1" } };
    } else if (action.kind === "MendPod") mendPod(action);
    else if (action.kind === "DeletePod" || action.kind === "ReleasePod") actOnPod(action);
    else throw new Error(`The model knows no ${action.kind}`);
  }

  function actOnPod(action: Extract<Action, { kind: "DeletePod" | "ReleasePod" }>): void {
    const { name, uid } = action;
    removal.delete({ name, uid });
    const pod = pods.get(name);
    if (pod?.uid !== uid) return;
    if (action.kind === "DeletePod") (action.force ? removeByForce : deletePod)(pod);
    else {
      if (pod.finalizers.length > 0) accounted.push(pod.uid);
      pod.finalizers = [];
      collect(pod);
    }
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

  function createPod(meta: Fields & { name: string }): void {
    if (pods.has(meta.name)) return;
    creates.push(meta.name);
    const labels = meta.labels as Fields;
    pods.set(meta.name, {
      name: meta.name,
      uid: `uid-of-${meta.name}-${creates.filter((name) => name === meta.name).length}`,
      attempt: Number(labels["trainingrun.dev/attempt"]),
      node: nodes.ready,
      labels,
      owned: true,
      finalizers: meta.finalizers as string[],
      deletedAt: null,
      forced: false,
      disruption: null,
      started: false,
      step: 0,
      steppedAt: now,
      resumedFrom: null,
      trainerEnd: null,
      done: null,
      finishedAt: null,
    });
  }

  function deletePod(pod: ModelPod): void {
    if (pod.deletedAt !== null) return;
    pod.deletedAt = now;
    deletes.push(pod.name);
    collect(pod);
  }

  function removeByForce(pod: ModelPod): void {
    if (pod.forced) return;
    pod.deletedAt ??= now;
    pod.forced = true;
    deletes.push(`${pod.name} by force`);
    collect(pod);
  }

  function collect(pod: ModelPod): void {
    if (pod.deletedAt !== null && (pod.finishedAt !== null || pod.forced) && pod.finalizers.length === 0) vanish(pod);
  }

  /** The object goes; its containers with it, where a kubelet hears of that. */
  function vanish(pod: ModelPod): void {
    pods.delete(pod.name);
    if (pod.finishedAt === null && pod.node === nodes.silent) zombies.push(pod);
  }

  function end(pod: ModelPod, trainerEnd: End): void {
    pod.trainerEnd = trainerEnd;
    pod.finishedAt = now;
    collect(pod);
  }

  function save(pod: ModelPod): void {
    const saved = summary(pod.step, pod.attempt);
    const isVoid = pod.attempt < opened;
    if (isVoid && !counted.has(saved.digest)) voided.push(saved);
    if (isVoid || pod.step <= (disk[0]?.step ?? 0)) return;
    counted.add(saved.digest);
    disk = [saved, ...disk].slice(0, 4);
  }

  function deleteRun(): void {
    if (stored === null || metadata().deletionTimestamp) return;
    if ((metadata().finalizers ?? []).length === 0) stored = null;
    else touch({ metadata: { deletionTimestamp: new Date(now).toISOString() } });
  }

  /** Everything that can befall the run besides the operator. Each is a no-op where it does not apply. */
  const events = {
    tick: () => {
      now += 7_000;
    },
    start: () => {
      for (const pod of tended()) {
        if (pod.started || pod.deletedAt !== null) continue;
        pod.started = true;
        opened = Math.max(opened, pod.attempt);
        pod.resumedFrom = disk[0] ?? null;
        pod.step = disk[0]?.step ?? 0;
      }
    },
    train: () => {
      for (const pod of running()) {
        // A node that hears nothing does not hear of a deletion either.
        if (pod.deletedAt !== null && pod.node !== nodes.silent) continue;
        pod.step = Math.min(targetStep, pod.step + 17);
        pod.steppedAt = now;
      }
    },
    save: () => {
      for (const pod of running()) save(pod);
    },
    crash: () => {
      for (const pod of tended()) if (pod.started) end(pod, { exitCode: 1, message: "Traceback" });
    },
    outOfMemory: () => {
      for (const pod of tended()) if (pod.started) end(pod, { exitCode: 137, reason: "OOMKilled", message: "" });
    },
    evict: () => {
      for (const pod of alive()) {
        pod.disruption ??= "EvictionByEvictionAPI";
        deletePod(pod);
      }
    },
    deleteByHand: () => {
      for (const pod of alive()) deletePod(pod);
    },
    stripFinalizer: () => {
      for (const pod of alive()) {
        pod.finalizers = [];
        deletePod(pod);
        vanish(pod);
      }
    },
    terminate: () => {
      for (const pod of tended()) {
        if (pod.deletedAt === null) continue;
        if (pod.started) save(pod);
        end(pod, preempted(pod));
      }
    },
    finish: () => {
      for (const pod of tended()) {
        if (!pod.started || pod.step < targetStep || pod.deletedAt !== null) continue;
        save(pod);
        const digest = disk[0]?.digest ?? "";
        pod.done = digest;
        end(pod, {
          exitCode: 0,
          message: JSON.stringify({
            kind: "done",
            attempt: pod.attempt,
            step: pod.step,
            checkpoint: digest,
            metrics: [],
          }),
        });
      }
    },
    /** The node of the attempt's pod is not heard of any more, and what runs there goes on. */
    silence: () => {
      const [pod] = alive();
      if (pod !== undefined) nodes.silence(pod.node, now, reports());
    },
    /** It is heard of again, and its kubelet ends what the API has no object of any more. */
    thaw: () => {
      nodes.thaw();
      zombies = [];
    },
    ...handEvents({
      recordedPods: () => alive().filter(({ uid }) => recorded().has(uid)),
      dropFinalizer: () => (metadata().deletionTimestamp ? undefined : touch({ metadata: { finalizers: [] } })),
    }),
    suspend: () => edit({ suspend: true }),
    resume: () => edit({ suspend: false }),
    /** Changes what the pods are made of. */
    editTemplate: () => edit({ template: templateOf(`example.com/mnist:${version}`) }),
    /** Changes nothing that a pod is made of. */
    editRetry: () => edit({ retry: { disruptions: 1_000_000 - version } }),
    /** Asks for what this version does not do. */
    editFork: () => edit({ resume: { from: { run: "other", step: 1 } } }),
    /** Asks for what it does again. */
    editBack: () => {
      if ((stored?.spec as Fields | undefined)?.resume !== undefined) edit({ resume: undefined });
    },
  };

  function edit(fields: Fields): void {
    if (stored === null) return;
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
      now += milliseconds;
    },
    alive,
    /** What runs although nobody sees it. */
    get zombies() {
      return zombies;
    },
    /** Checkpoints that count, newest first, and those that were appended below a newer attempt's opening. */
    get disk() {
      return disk;
    },
    voided,
    get silentNode() {
      return nodes.silent;
    },
    creates,
    deletes,
    accounted,
    removal,
    observe,
    get now() {
      return now;
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
