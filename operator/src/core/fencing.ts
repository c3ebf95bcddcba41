import { type Silence, type Stop, statusLimits, type TrainingRunStatus } from "../api/status.ts";
import { agentPatienceMs, hasAnswered } from "./agent-silence.ts";
import type { Draft } from "./draft.ts";
import { instantOf, timeOf } from "./instant.ts";
import { claimNameOf, podName } from "./names.ts";
import type { Instant, Observed, ObservedNode } from "./observed.ts";
import type { Obstacle } from "./supported.ts";
import type { Survey } from "./survey.ts";
import { workerOf } from "./workers.ts";

//   node silent ──► Counting ──(nothing heard for afterSeconds)──► Overdue ──(no other pod of it left)──► Fence
//        ▲             │ node or agent heard                     the others of a gang are asked to stop
//        └─────────────┘
//
// What is counted from stands in status before it is counted to its end, and the node is read from the server itself
// from then on: a copy that is old never gives up an attempt whose node is back.

/** What becomes of an attempt whose pods are, if they still run, on nodes that nothing is heard of. */
export type Fencing =
  /** The policy is Wait, or every node that matters is heard of. */
  | Readonly<{ kind: "None" }>
  /** It is given up if nothing is heard for `waitMs` more. */
  | Readonly<{ kind: "Counting"; silence: Silence; waitMs: number; obstacle: Obstacle }>
  /** The time is over, and pods of it run on nodes that are heard of: they are stopped first. */
  | Readonly<{ kind: "Overdue"; silence: Silence; obstacle: Obstacle }>
  /** It is given up now: the next attempt's `open` voids whatever its pods still write. */
  | Readonly<{ kind: "Fence"; silence: Silence }>
  /** The next attempt could not begin beside it, or could not shut it out: it is waited for, as under Wait. */
  | Readonly<{ kind: "Unavailable"; silence: Silence; obstacle: Obstacle }>;

/** A pod of the open attempt that may run, with the node it is on. */
type LivePod = Readonly<{ name: string; uid: string; node: ObservedNode | undefined }>;

/** Judges the open attempt by `spec.nodeLost`. */
export function fencing(observed: Observed, status: TrainingRunStatus, scene: Survey): Fencing {
  const { afterSeconds } = observed.run.spec.nodeLost;
  const live = livePods(observed, scene);
  const silent = live.filter(({ node }) => isSilent(node));
  const [first] = silent;
  if (afterSeconds === undefined || scene.entry === null || first === undefined) return { kind: "None" };
  const { silence, isKnown } = silenceOf(observed, { attempt: scene.entry.number, silent });
  const why = unfenceable(observed, status) ?? unproven(observed, status);
  if (why !== null) return { kind: "Unavailable", silence, obstacle: unavailable(silence, first, why) };
  const lastSign = Math.max(instantOf(silence.since), lastHeard(observed, silent) ?? 0);
  const waitMs = Math.max(0, lastSign + afterSeconds * 1000 - observed.now);
  const obstacle = counted(silence, first, {
    attempt: scene.entry.number,
    afterSeconds,
    isHeard: hasAnswered(observed, first.uid),
  });
  if (waitMs > 0 || !isKnown) return { kind: "Counting", silence, waitMs, obstacle };
  return silent.length < live.length ? { kind: "Overdue", silence, obstacle } : { kind: "Fence", silence };
}

/**
 * The draft with what is counted from, and with the attempt given up where its time has come: from that write on its pods
 * count as ended.
 */
export function withFencing(draft: Draft, fate: Fencing): Draft {
  if (fate.kind === "None") {
    const { silence, ...status } = draft.status;
    return silence === undefined ? draft : { ...draft, status };
  }
  const { silence } = fate;
  const given = draft.status.fencedAttempt ?? 0;
  const fenced = fate.kind === "Fence" ? { fencedAttempt: Math.max(given, silence.attempt) } : {};
  return { ...draft, status: { ...draft.status, silence, ...fenced } };
}

/** The stop of the pods of a gang that run while one of it is lost; null where none is due. */
export function stopBeforeFence(fate: Fencing, now: Instant): Stop | null {
  if (fate.kind !== "Overdue") return null;
  const { silence } = fate;
  const message = `${silentWords(silence)}. The attempt is given up, and its other pods are stopped.`;
  return {
    attempt: silence.attempt,
    cause: "NodeLost",
    charge: "Disruption",
    reason: "Fenced",
    message,
    time: timeOf(now),
  };
}

/**
 * Why an attempt of the run could never be given up, whatever its agents tell; null where it can be. A volume that one
 * node alone may mount stays with the lost one, and a log that takes a number twice shuts nobody out.
 */
export function unfenceable(
  { run, volume, seesNodes }: Pick<Observed, "run" | "volume" | "seesNodes">,
  status: TrainingRunStatus,
): string | null {
  if (seesNodes === false) return unseenNodes;
  const { checkpoint } = run.spec;
  if (checkpoint.objectStore !== undefined && storeFences(status) === false) {
    return `the object store ${checkpoint.objectStore.endpoint} does not honour conditional writes (If-None-Match), so a pod that was cut off could write into its log beside the next one: use a store that does, or set spec.nodeLost.policy: Wait`;
  }
  if (checkpoint.volume === undefined) return null;
  const modes: readonly string[] =
    volume.kind === "Present" ? volume.accessModes : (checkpoint.volume.claimTemplate?.accessModes ?? []);
  if (modes.includes("ReadWriteMany")) return null;
  return `the claim ${claimNameOf(run)} is ${modes.join(" and ") || "of no known access mode"}, and Kubernetes gives its volume to another node only six minutes after the pod is gone, or once the lost node is tainted: make sure that the machine is off, then taint the node node.kubernetes.io/out-of-service=nodeshutdown:NoExecute or delete it. A ReadWriteMany claim, or an object store without a volume, would need neither`;
}

const unseenNodes =
  "this operator does not read nodes, so it cannot tell that one has gone silent: set the chart's watchNodes to true, or spec.nodeLost.policy to Wait";

/** What the run is told as long as it trains, where its policy can never come to anything; null where it can. */
export function neverFenced({ run, seesNodes }: Observed): string | null {
  if (run.spec.nodeLost.policy !== "Fence" || seesNodes !== false) return null;
  return `spec.nodeLost.policy: Fence does nothing, because ${unseenNodes}.`;
}

/** An agent asks the store before it opens an attempt, so this is not known only where none was ever heard. */
function unproven({ run }: Observed, status: TrainingRunStatus): string | null {
  if (run.spec.checkpoint.objectStore === undefined || storeFences(status) !== undefined) return null;
  return "no agent has told yet whether the object store honours conditional writes (If-None-Match)";
}

/** By the newest agent that told: it is the store's own property. */
function storeFences({ attempts = [] }: TrainingRunStatus): boolean | undefined {
  return attempts.find(({ fences }) => fences !== undefined)?.fences;
}

/** Its kubelet is not heard of. One that says of itself that it is not ready is. */
function isSilent(node: ObservedNode | undefined): boolean {
  return node?.presence === "Present" && node.ready === "Unknown" && !node.outOfService;
}

function livePods(observed: Observed, { entry, members, unseen }: Survey): LivePod[] {
  const nodeOf = (name: string | null | undefined) => observed.nodes.find((node) => node.name === name);
  return [
    ...members.flatMap(({ pod: { name, uid, node }, end }) =>
      end.kind === "Alive" ? [{ name, uid, node: nodeOf(node) }] : [],
    ),
    ...unseen.map((pod) => ({
      name: podName(observed.run, entry?.number ?? 0, entry === null ? 0 : workerOf(entry, pod)),
      uid: pod.uid,
      node: nodeOf(pod.node),
    })),
  ];
}

type Count = Readonly<{ attempt: number; silent: readonly LivePod[] }>;

/**
 * What is counted from: what stands in status, or else now. An agent that was heard until just before tells better when
 * the silence began than the cluster, which waits before it calls a node lost; one that was not heard for long tells nothing.
 */
function silenceOf(observed: Observed, { attempt, silent }: Count): Readonly<{ silence: Silence; isKnown: boolean }> {
  const { now, run } = observed;
  const stored = run.status.silence;
  const known = stored?.attempt === attempt ? stored : undefined;
  const heard = lastHeard(observed, silent);
  const begun = heard !== null && now - heard <= agentPatienceMs ? heard : now;
  // Another operator may have written it. Each goes by the API server's clock as it hears it, a second or two apart: what is
  // ahead counts from now, and what is behind gives the attempt up so much sooner, which its successor's `open` makes safe.
  const since = known === undefined ? begun : Math.min(now, instantOf(known.since));
  const nodes = [...new Set(silent.flatMap(({ node }) => node?.name ?? []))].toSorted().slice(0, statusLimits.pods);
  return { silence: { attempt, since: timeOf(since), nodes }, isKnown: known !== undefined };
}

/** When the agent of one of these pods last answered. */
function lastHeard({ reports }: Observed, pods: readonly LivePod[]): Instant | null {
  const heard = reports.flatMap((report) =>
    pods.some(({ uid }) => uid === report.podUid) ? [report.heardAt ?? report.receivedAt] : [],
  );
  return heard.length === 0 ? null : Math.max(...heard);
}

/** What is known of a silence, as the beginning of a sentence. */
export function silentWords({ nodes, since }: Silence): string {
  return `Nothing has been heard of node ${nodes.join(", ")} since ${since}`;
}

function counted(
  silence: Silence,
  { name }: LivePod,
  { attempt, afterSeconds, isHeard }: { attempt: number; afterSeconds: number; isHeard: boolean },
): Obstacle {
  const then = `Attempt ${attempt} is given up, and the next one begins, once nothing was heard for ${afterSeconds} s (spec.nodeLost).`;
  const message = isHeard
    ? `The kubelet of node ${silence.nodes.join(", ")} is not heard of, but the agent of the pod ${name} still answers: it runs on. ${then}`
    : `${silentWords(silence)}, so it is not known whether the pod ${name} still runs. ${then}`;
  return { reason: "NodeSilent", message };
}

function unavailable(silence: Silence, { name }: LivePod, why: string): Obstacle {
  const message = `${silentWords(silence)}, so it is not known whether the pod ${name} still runs. Cannot give it up by spec.nodeLost.policy: Fence because ${why}. Waiting for the node, its deletion, or its taint node.kubernetes.io/out-of-service.`;
  return { reason: "FenceUnavailable", message };
}
