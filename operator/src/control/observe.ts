import { readDeletedRun } from "../api/deleted-run.ts";
import { labels } from "../api/names.ts";
import type { TrainingRun } from "../api/training-run.ts";
import type { RunEvent } from "../core/decision.ts";
import { claimNameOf, podName, removalPodName } from "../core/names.ts";
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
import { isHeldUp } from "../core/obstacle.ts";
import { removesObjects } from "../core/removal.ts";
import { nodeNamesOf } from "../core/survey.ts";
import { isNotFound } from "../kubernetes/api-error.ts";
import type { ApiClient, Bound } from "../kubernetes/client.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { claims, nodes, pods, type Resource } from "../kubernetes/resource.ts";
import type { Caches } from "./caches.ts";
import type { Problems } from "./problems.ts";
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
  const cached = cachedPods(run, sources.caches);
  const missing = await readMissing(run, cached, { ...sources, bound });
  const present = await withProblems([...cached, ...missing.found], run, { ...sources, bound });
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
      gone: missing.gone,
      nodes: await observeNodes(nodeNamesOf(run, present), { ...sources, bound }),
      volume: await observeVolume(run, { ...sources, bound }),
      removal: await removalOf(run, { ...sources, bound }),
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

function cachedPods(run: TrainingRun, caches: Caches): readonly ObservedPod[] {
  return caches.pods.find("owner", run.metadata.uid).flatMap((raw) => {
    const observed = raw.metadata.labels?.[labels.run] === run.metadata.name ? observePod(raw) : null;
    return observed === null ? [] : [observed];
  });
}

/** Recorded pods of the live attempt that the cache lacks: the server itself says which of them are gone. */
async function readMissing(
  run: TrainingRun,
  cached: readonly ObservedPod[],
  live: Live,
): Promise<Readonly<{ found: readonly ObservedPod[]; gone: readonly string[] }>> {
  const newest = run.status.attempts?.[0];
  if (newest === undefined || newest.endTime !== undefined) return { found: [], gone: [] };
  const verdicts = await Promise.all(
    newest.pods.map(async ({ uid }, worker) => {
      if (cached.some((pod) => pod.uid === uid)) return [];
      const name = podName(run, newest.number, worker);
      const raw = await readLive(pods, { namespace: run.metadata.namespace, name }, live);
      return [{ uid, verdict: judgeMissing(raw, uid) }];
    }),
  );
  const missing = verdicts.flat();
  return {
    found: missing.flatMap(({ verdict }) => (typeof verdict === "string" ? [] : [verdict])),
    gone: missing.flatMap(({ uid, verdict }) => (verdict === "Gone" ? [uid] : [])),
  };
}

/**
 * What the server's own answer means for a recorded pod. One that stands and cannot be read, since somebody took its
 * labels, may still train: it is not gone, and nothing is begun beside it.
 */
export function judgeMissing(raw: KubeObject | undefined, uid: string): ObservedPod | "Gone" | "Unreadable" {
  if (raw?.metadata.uid !== uid) return "Gone";
  return observePod(raw) ?? "Unreadable";
}

/** Only of a pod that should have begun by now: most pods do before anybody has to ask. */
async function withProblems(pods: readonly ObservedPod[], run: TrainingRun, live: Live): Promise<ObservedPod[]> {
  const now = live.now();
  return await Promise.all(
    pods.map(async (pod) => {
      if (isHeldUp(pod, now)) {
        return { ...pod, problem: await live.problems.ofPod(pod, run.metadata.namespace, live.bound) };
      }
      live.problems.forget(pod.uid);
      return pod;
    }),
  );
}

async function observeNodes(names: readonly string[], live: Live): Promise<readonly ObservedNode[]> {
  return await Promise.all(
    names.map(async (name) => {
      if (live.caches.nodes === undefined) return unseenNode(name, "Unknown");
      const raw = live.caches.nodes.get(name) ?? (await readLive(nodes, { name }, live));
      return raw === undefined ? unseenNode(name, "Absent") : observeNode(name, raw);
    }),
  );
}

async function observeVolume(run: TrainingRun, live: Live): Promise<ObservedVolume> {
  const claimName = claimNameOf(run);
  if (claimName === null) return { kind: "None" };
  const { namespace } = run.metadata;
  const raw =
    live.caches.claims.get(`${namespace}/${claimName}`) ??
    (await readLive(claims, { namespace, name: claimName }, live));
  if (raw === undefined) return { kind: "Absent", claimName };
  return observeClaim(raw, await live.problems.ofClaim(raw, live.bound));
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

async function readLive(
  resource: Resource,
  where: Readonly<{ namespace?: string; name: string }>,
  { client, bound }: Live,
): Promise<KubeObject | undefined> {
  try {
    return await client.get({ resource, ...where }, bound);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
