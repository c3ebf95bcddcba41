import { labels } from "../api/names.ts";
import { credentialsVolumeName } from "../api/template.ts";
import type { TrainingRun } from "../api/training-run.ts";
import { hasAnswered } from "./agent-silence.ts";
import { timeOf } from "./instant.ts";
import { openEntry } from "./ledger.ts";
import { podName } from "./names.ts";
import type { Instant, Observed, ObservedPod } from "./observed.ts";
import type { Obstacle } from "./supported.ts";
import type { Survey, SurveyedPod } from "./survey.ts";
import { workerOf, workersOf } from "./workers.ts";

/** Waiting reasons with which a container does not begin by itself; the kubelet's other ones pass. */
const stuck: readonly string[] = [
  "ImagePullBackOff",
  "ErrImagePull",
  "ErrImageNeverPull",
  "InvalidImageName",
  "ImageInspectError",
  "RegistryUnavailable",
  "SignatureValidationFailed",
  "CreateContainerConfigError",
  "CreateContainerError",
  "RunContainerError",
  "CrashLoopBackOff",
];

/** Reasons that a container has before it is made. With a volume that cannot be mounted they stay for ever. */
const unmade: readonly string[] = ["", "ContainerCreating", "PodInitializing"];
/** A kubelet kills what is left when the grace period is over, which takes it no longer. */
const stuckAfterMs = 60_000;
/** A kubelet needs no longer to begin with a pod, where nothing is missing. */
const beginPatienceMs = 10_000;

/** Why a pod that exists does not get on, in the scheduler's or the kubelet's words; null where nothing is wrong. */
export function obstacleOf(observed: Observed, pod: ObservedPod): Obstacle | null {
  return unscheduled(observed, pod) ?? stuckContainer(pod) ?? unmounted(observed, pod) ?? silentNode(observed, pod);
}

/** A pod that has a node for a while and not one container: only events tell what its kubelet waits for. */
export function isHeldUp(pod: ObservedPod, now: Instant): boolean {
  if (pod.phase !== "Pending" || pod.node === null || pod.deletionRequestedAt !== null) return false;
  const boundAt = pod.conditions.find(({ type, status }) => type === "PodScheduled" && status === "True")?.since;
  return now - (boundAt ?? pod.createdAt) >= beginPatienceMs && containersOf(pod).every(isUnmade);
}

/**
 * The node of a pod has gone silent: what is waited for, since when, and what would end the wait. A kubelet that says of
 * itself that it is not ready, as for a network plugin, is not silent as long as the pod's agent answers.
 */
export function silentNode(observed: Observed, pod: Pick<ObservedPod, "name" | "uid" | "node">): Obstacle | null {
  const node = observed.nodes.find(({ name }) => name === pod.node);
  if (node === undefined || node.presence !== "Present" || node.ready === "True") return null;
  if (node.ready === "False" && hasAnswered(observed, pod.uid)) return null;
  const since = node.readySince === null ? "" : ` since ${timeOf(node.readySince)}`;
  return {
    reason: "NodeSilent",
    message: `Node ${node.name} has not been ready${since}, ${whatOf(observed, pod)}. Waiting for the node, its deletion, or its taint node.kubernetes.io/out-of-service.`,
  };
}

function whatOf(observed: Observed, { name, uid }: Pick<ObservedPod, "name" | "uid">): string {
  return hasAnswered(observed, uid)
    ? `but the agent of the pod ${name} still answers: it runs on, and only its kubelet cannot be heard`
    : `so it is not known whether the pod ${name} still runs`;
}

/**
 * A pod that was asked to stop, whose grace period is long over, and that its kubelet has not ended: nothing that the
 * operator may do ends it, so a person must look.
 */
export function stuckPod(pod: ObservedPod, now: Instant): Obstacle | null {
  const { name, node, deletionRequestedAt } = pod;
  if (deletionRequestedAt === null || now < stuckFrom(pod, deletionRequestedAt)) return null;
  return {
    reason: "PodStuck",
    message: `The pod ${name} was asked to stop at ${timeOf(deletionRequestedAt)}, its grace period is over, and the kubelet of node ${node ?? "none"} has not ended it. Look there for a process that cannot be killed, as one that waits for a device or a file server, or a volume that is not let go. No other attempt begins before it has ended.`,
  };
}

/** How long until the first of the pods that were asked to stop is called stuck, as a draft's wait. */
export function stuckWait(pods: readonly SurveyedPod[], now: Instant): number[] {
  return pods.flatMap(({ pod, end }) => {
    if (end.kind !== "Alive" || pod.deletionRequestedAt === null) return [];
    const left = stuckFrom(pod, pod.deletionRequestedAt) - now;
    return left > 0 ? [left] : [];
  });
}

function stuckFrom({ graceSeconds }: ObservedPod, requestedAt: Instant): Instant {
  return requestedAt + graceSeconds * 1000 + stuckAfterMs;
}

/** A pod of the open attempt is gone from the API, but its silent node may run it still; null where none is. */
export function unseenPod(observed: Observed, { entry, unseen }: Survey): Obstacle | null {
  const [pod] = unseen;
  if (entry === null || pod === undefined) return null;
  const name = podName(observed.run, entry.number, workerOf(entry, pod));
  const silent = silentNode(observed, { name, uid: pod.uid, node: pod.node ?? null });
  if (silent === null) return null;
  return { ...silent, message: `${silent.message} Its object was removed by force, which stops no container.` };
}

function unscheduled({ volume, run }: Observed, pod: ObservedPod): Obstacle | null {
  const scheduled = pod.conditions.find(({ type }) => type === "PodScheduled");
  if (pod.node !== null || scheduled?.status !== "False") return null;
  if (pod.gates.length > 0) return gated(run, pod);
  const claim =
    volume.kind === "Present" && volume.phase !== "Bound" && volume.problem !== ""
      ? ` Claim ${volume.claimName}: ${volume.problem}`
      : "";
  return {
    reason: scheduled.reason === "" ? "Unschedulable" : scheduled.reason,
    message: `The pod ${pod.name} is not scheduled: ${scheduled.message}${claim}`,
  };
}

/** What Kueue holds a pod back by until its queue has room for it. */
const queueGate = "kueue.x-k8s.io/admission";
/** Kueue puts this one beside it and takes it off by itself: nobody has to be told of it while the pod waits. */
const topologyGate = "kueue.x-k8s.io/topology";

/** A pod that its queue has not let go yet. */
export function isQueued({ gates, node, deletionRequestedAt }: ObservedPod): boolean {
  return gates.includes(queueGate) && node === null && deletionRequestedAt === null;
}

function gated(run: TrainingRun, pod: ObservedPod): Obstacle {
  const reason = "SchedulingGated";
  const isItsOwn = (gate: string) => gate === queueGate || (gate === topologyGate && isQueued(pod));
  const others = pod.gates.filter((gate) => !isItsOwn(gate)).join(", ");
  const also = others === "" ? "" : `${heldBackBy}${others} as well.`;
  if (!isQueued(pod)) {
    return {
      reason,
      message: `The pod ${pod.name} is held back from the scheduler by ${others}: whoever put that there takes it off.`,
    };
  }
  if (pod.queue === null) {
    const message = `The pod ${pod.name} waits for Kueue to admit it, and is in no queue: set the label ${labels.queue} on the run, and delete the pod.${also}`;
    return { reason, message };
  }
  const why = pod.problem === "" ? "" : ` ${pod.problem.replace(/\.?$/, ".")}`;
  const alone = isOneOfGang(run, pod) && pod.queueGroup === null ? ungrouped : "";
  return { reason, message: `${waitsInQueue(pod)}${why}${alone}${also}` };
}

/**
 * What the run's condition says already that the pod's queue says; empty where it says nothing of this pod. An operator that
 * has only begun to lead goes on from there: it would take those words out of thousands of statuses, and put them back.
 */
export function queueWordsTold({ status }: TrainingRun, pod: Pick<ObservedPod, "name" | "queue">): string {
  const told = status.conditions?.find(({ type }) => type === "Progressing")?.message ?? "";
  const opening = `${waitsInQueue(pod)} `;
  if (!told.startsWith(opening)) return "";
  const rest = told.slice(opening.length - 1);
  const ends = [ungrouped, heldBackBy].map((words) => rest.indexOf(words)).filter((at) => at >= 0);
  return rest.slice(0, Math.min(rest.length, ...ends)).trim();
}

function waitsInQueue({ name, queue }: Pick<ObservedPod, "name" | "queue">): string {
  return `The pod ${name} waits in the queue ${queue} to be admitted.`;
}

const heldBackBy = " It is held back by ";
/** A namespace's default queue takes each pod for itself: it knows nothing of the gang. */
const ungrouped = ` Each worker waits there by itself, so some may hold their devices while others wait: set the label ${labels.queue} on the run, then spec.suspend to true and back to false, and the next attempt waits as one.`;

function isOneOfGang({ status }: TrainingRun, { attempt }: ObservedPod): boolean {
  const entry = openEntry(status);
  return entry !== null && entry.number === attempt && workersOf(entry) > 1;
}

/** A Secret that is not there, a volume that another node holds: the kubelet tries again, and the pod begins by itself. */
function unmounted({ run }: Observed, { name, node, problem }: ObservedPod): Obstacle | null {
  if (problem === "") return null;
  const { objectStore } = run.spec.checkpoint;
  const advice =
    objectStore !== undefined && problem.includes(credentialsVolumeName)
      ? ` Create the Secret ${objectStore.credentialsSecretName} in the namespace ${run.metadata.namespace} with the keys accessKeyId and secretAccessKey; the pod then begins by itself.`
      : "";
  const message = `The pod ${name} cannot begin on node ${node ?? "none"}: ${problem.replace(/\.?$/, ".")}${advice}`;
  return { reason: "Blocked", message };
}

function stuckContainer(pod: ObservedPod): Obstacle | null {
  for (const container of containersOf(pod)) {
    if (container.state.kind !== "Waiting" || !stuck.includes(container.state.reason)) continue;
    const last = container.previousEnd?.message ? ` Its last words: ${container.previousEnd.message}` : "";
    const { reason, message } = steadily(container.state);
    return {
      reason,
      message: `Container ${container.name} of the pod ${pod.name} does not start: ${message || reason}.${last}`,
    };
  }
  return null;
}

/**
 * Between two tries to pull an image the kubelet says that it waits, and behind that why the last one failed. Told as it
 * comes, one missing image would be written and told anew every few minutes, for ever.
 */
const pullPause = /^Back-off pulling image "[^"]*": (?<reason>\w+): (?<message>.+)$/s;

function steadily({ reason, message }: Readonly<{ reason: string; message: string }>): Obstacle {
  const paused = reason === "ImagePullBackOff" ? pullPause.exec(message)?.groups : undefined;
  return { reason: paused?.reason ?? reason, message: paused?.message ?? message };
}

function isUnmade({ state, previousEnd }: Pick<ObservedPod["trainer"], "state" | "previousEnd">): boolean {
  return state.kind === "Waiting" && previousEnd === null && unmade.includes(state.reason);
}

function containersOf(pod: ObservedPod) {
  return [...(pod.restore ? [pod.restore] : []), pod.agent, pod.trainer, ...pod.others];
}
