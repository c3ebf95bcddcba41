import { readDeletedRun } from "../api/deleted-run.ts";
import { labels } from "../api/names.ts";
import type { TrainingRun } from "../api/training-run.ts";
import type { RunEvent } from "../core/decision.ts";
import { sourceNameOf } from "../core/fork.ts";
import { claimNameOf, removalPodName } from "../core/names.ts";
import { observeClaim, observeNode, unseenNode } from "../core/observe-cluster.ts";
import { observePod } from "../core/observe-pod.ts";
import { observeRemoval } from "../core/observe-removal.ts";
import type {
  AgentReport,
  Observed,
  ObservedNode,
  ObservedPod,
  ObservedRemoval,
  ObservedVolume,
} from "../core/observed.ts";
import { isHeldUp, isQueued, queueWordsTold } from "../core/obstacle.ts";
import { removesObjects } from "../core/removal.ts";
import { nodeNamesOf } from "../core/survey.ts";
import type { ApiClient, Bound } from "../kubernetes/client.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { claims, nodes } from "../kubernetes/resource.ts";
import { readAwaited } from "./awaited-pods.ts";
import type { Caches } from "./caches.ts";
import type { GangServices } from "./gang-services.ts";
import type { Problems } from "./problems.ts";
import { readLive } from "./read-live.ts";
import { readRecorded } from "./recorded-pods.ts";
import type { Refusals } from "./refusals.ts";
import { parsedRun } from "./run-cache.ts";

/** Where an observation is gathered from. */
export type Sources = Readonly<{
  caches: Caches;
  client: ApiClient;
  report: (podUid: string) => AgentReport | undefined;
  /** Since when agents have been asked by this process. */
  askingSince: () => number | undefined;
  refusals: Refusals;
  problems: Problems;
  gangServices: Pick<GangServices, "of">;
  now: () => number;
}>;

/** What is seen of one run, or why there is nothing to decide. */
export type Observation =
  | (Reading & Readonly<{ kind: "Seen"; observed: Observed; raw: KubeObject }>)
  | Readonly<{ kind: "Absent" }>
  | Readonly<{ kind: "Unreadable"; message: string; raw: KubeObject }>;

/**
 * Gathers what is known of a run: from the caches, and by live reads where a stale cache could be taken for an
 * end, such as a pod, claim or node that is missing (I7). Reads only.
 */
export async function observe(key: string, sources: Sources, bound: Bound): Promise<Observation> {
  const raw = sources.caches.runs.get(key);
  if (raw === undefined) return { kind: "Absent" };
  const reading = read(raw);
  if ("kind" in reading) return { ...reading, raw };
  const { run } = reading;
  const recorded = await readRecorded(run, { ...sources, bound });
  const known = [...recorded.found, ...(await readAwaited(run, { ...sources, bound }))];
  const others = otherPods(run, known, sources.caches);
  const present = await withProblems([...known, ...others], run, { ...sources, bound });
  const askingSince = sources.askingSince();
  const reports = present.flatMap(({ uid }) => sources.report(uid) ?? []);
  return {
    kind: "Seen",
    ...reading,
    raw,
    observed: {
      now: sources.now(),
      run,
      pods: present,
      gone: recorded.gone,
      seesNodes: sources.caches.nodes !== undefined,
      nodes: await observeNodes(run, present, { ...sources, bound }),
      volume: await observeVolume(run, present, { ...sources, bound }),
      ...sourceOf(run, sources.caches),
      removal: await removalOf(run, { ...sources, bound }),
      ...(await sources.gangServices.of(run, { ...sources, bound })),
      reports,
      ...(askingSince === undefined ? {} : { askingSince }),
      refusals: sources.refusals.of(run.metadata.uid),
    },
  };
}

/** A run as it was read, and what people must know of how that went. */
type Reading = Readonly<{
  run: TrainingRun;
  /** False where the stored status must be left as it is, because its ledger could not be read. */
  statusIsRead: boolean;
  doubt: RunEvent | undefined;
}>;

/** Another version may have written the object. Even where it cannot be acted on, its deletion is honoured (L5). */
function read(raw: KubeObject): Reading | Readonly<{ kind: "Unreadable"; message: string }> {
  const parsed = parsedRun(raw);
  if (parsed.kind === "Run") return { run: parsed.run, statusIsRead: true, doubt: doubtOf(parsed.leftOut) };
  const deleted = readDeletedRun(raw);
  if (deleted === null) return parsed;
  const message = `${parsed.message}. It is deleted all the same: its pods are stopped with their grace period, and its data is kept.`;
  return { ...deleted, doubt: { type: "Warning", reason: "Unreadable", message } };
}

function doubtOf(leftOut: readonly string[]): RunEvent | undefined {
  if (leftOut.length === 0) return undefined;
  const message = `The run goes on without a part of its status, because this version does not know what stands there: ${leftOut.join(", ")}. An operator of the version that wrote it does.`;
  return { type: "Warning", reason: "StatusPartlyRead", message };
}

type Live = Sources & Readonly<{ bound: Bound }>;

/** The run's pods beside those of the living attempt, whose names are none of its: what they are their labels say. */
function otherPods(run: TrainingRun, known: readonly ObservedPod[], caches: Caches): readonly ObservedPod[] {
  const uids = new Set(known.map(({ uid }) => uid));
  return caches.pods.find("owner", run.metadata.uid).flatMap((raw) => {
    const { uid, labels: carried } = raw.metadata;
    return !uids.has(uid) && carried?.[labels.run] === run.metadata.name ? (observePod(raw) ?? []) : [];
  });
}

/** Only of a pod that waits in a queue, or should have begun by now: most pods do before anybody has to ask. */
async function withProblems(pods: readonly ObservedPod[], run: TrainingRun, live: Live): Promise<ObservedPod[]> {
  const now = live.now();
  const { namespace } = run.metadata;
  return await Promise.all(
    pods.map(async (pod) => {
      if (isQueued(pod)) {
        const queued = { ...pod, told: queueWordsTold(run, pod) };
        return { ...pod, problem: await live.problems.ofQueued(queued, namespace, live.bound) };
      }
      if (isHeldUp(pod, now)) return { ...pod, problem: await live.problems.ofPod(pod, namespace, live.bound) };
      live.problems.forget(pod.uid);
      return pod;
    }),
  );
}

/** An attempt is given up only on the server's own word: a copy that is old may lack that the node is back. */
async function observeNodes(
  run: TrainingRun,
  pods: readonly ObservedPod[],
  live: Live,
): Promise<readonly ObservedNode[]> {
  const isCounted = run.status.silence !== undefined;
  return await Promise.all(
    nodeNamesOf(run, pods).map(async (name) => {
      if (live.caches.nodes === undefined) return unseenNode(name, "Unknown");
      const cached = isCounted ? undefined : live.caches.nodes.get(name);
      const raw = cached ?? (await readLive(nodes, { name }, live));
      return raw === undefined ? unseenNode(name, "Absent") : observeNode(name, raw);
    }),
  );
}

async function observeVolume(run: TrainingRun, pods: readonly ObservedPod[], live: Live): Promise<ObservedVolume> {
  const claimName = claimNameOf(run);
  if (claimName === null) return { kind: "None" };
  const { namespace } = run.metadata;
  const raw =
    live.caches.claims.get(`${namespace}/${claimName}`) ??
    (await readLive(claims, { namespace, name: claimName }, live));
  if (raw === undefined) return { kind: "Absent", claimName };
  if (pods.some(isPassedOver)) return observeClaim(raw, await live.problems.ofClaim(raw, live.bound));
  live.problems.forget(raw.metadata.uid);
  return observeClaim(raw, "");
}

/** The copy is enough: a run that it lacks is looked for again, and one that it still has is known by its uid. */
function sourceOf(run: TrainingRun, { runs }: Pick<Caches, "runs">): Pick<Observed, "source"> {
  const name = sourceNameOf(run);
  if (name === null) return {};
  const raw = runs.get(`${run.metadata.namespace}/${name}`);
  if (raw === undefined) return { source: { kind: "Absent" } };
  const parsed = parsedRun(raw);
  if (parsed.kind !== "Run") return { source: parsed };
  const { metadata, spec } = parsed.run;
  const { endpoint, bucket, prefix = "" } = spec.checkpoint.objectStore ?? {};
  const objectStore = endpoint === undefined || bucket === undefined ? null : { endpoint, bucket, prefix };
  return { source: { kind: "Present", uid: metadata.uid, claimName: claimNameOf(parsed.run), objectStore } };
}

/** The scheduler has no place for it, for want of its claim perhaps: most claims are bound before anybody has to ask. */
function isPassedOver({ node, gates, conditions }: ObservedPod): boolean {
  return (
    node === null &&
    gates.length === 0 &&
    conditions.some(({ type, status }) => type === "PodScheduled" && status === "False")
  );
}

/** The copy is enough: a pod that it lacks is created again, and found to be there. */
async function removalOf(run: TrainingRun, live: Live): Promise<ObservedRemoval | null> {
  const { namespace, uid, deletionTimestamp } = run.metadata;
  if (deletionTimestamp === undefined || !removesObjects(run)) return null;
  const name = removalPodName(run);
  const raw = live.caches.pods.find("owner", uid).find(({ metadata }) => metadata.name === name);
  if (raw === undefined) return null;
  const removal = observeRemoval(raw);
  if (!removal.isUnmade || removal.message !== "") return removal;
  return { ...removal, message: await live.problems.ofPod(removal, namespace, live.bound) };
}
