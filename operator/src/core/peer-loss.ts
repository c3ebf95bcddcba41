import { type Cause, type Charge, chargeOfCause } from "../api/cause.ts";
import type { Ending, Member } from "./cause.ts";
import { type Disruption, lossOf, toldDisruption } from "./disruption.ts";
import { timeOf } from "./instant.ts";
import type { ObservedNode, ObservedPod } from "./observed.ts";

/** How long a cluster may take to call a node lost that nobody hears of, and a little more to show it. */
export const monitorGraceMs = 60_000;

/** Ends that a program comes to as well where a node takes a peer of it away: its connections break before anybody knows why. */
const mayFollow: readonly Cause[] = ["Stalled", "ByRule", "OutOfMemory", "Incomplete", "Crashed"];

/** A pod of a gang as far as it is known, and the node that it is or was on. */
export type Peer = Readonly<{ pod: ObservedPod | undefined; node: ObservedNode | undefined }>;

/** Whether an end that is charged to the program may yet turn out to be the loss of a peer. */
export function mayFollowFromLoss({
  cause,
  charge = chargeOfCause[cause],
}: Readonly<{ cause: Cause; charge?: Charge | undefined }>): boolean {
  return mayFollow.includes(cause) && (charge === "Failure" || charge === "Terminal");
}

/** What took one of the pods away, or its node; null where nothing did, or nobody knows yet. */
export function lossAmong(peers: readonly Peer[]): Disruption | null {
  for (const { pod, node } of peers) {
    const loss = (pod === undefined ? lossOf(node) : toldDisruption(pod, node)) ?? silenceOf(node);
    if (loss !== null) return loss;
  }
  return null;
}

/** The pods of an ended gang, for {@link lossAmong}. */
export function peersOf(members: readonly Member[]): Peer[] {
  return members.map((member) => ({ pod: member.kind === "Gone" ? undefined : member.pod, node: member.node }));
}

/** An end with the loss that is behind it. The words that it had come after those of the loss. */
export function behind(
  loss: Disruption,
  end: Readonly<{ message?: string | undefined }>,
): Pick<Ending, "cause" | "charge" | "reason" | "message"> {
  const { cause, charge = chargeOfCause[cause], reason } = loss;
  return {
    cause,
    charge,
    reason: reason.slice(0, 63),
    message: `${loss.message} ${end.message ?? ""}`.trim().slice(0, 1024),
  };
}

function silenceOf(node: ObservedNode | undefined): Disruption | null {
  if (node?.presence !== "Present" || node.ready !== "Unknown") return null;
  const since = node.readySince === null ? "" : ` since ${timeOf(node.readySince)}`;
  return {
    cause: "NodeLost",
    reason: "NodeSilent",
    message: `Nothing is heard of node ${node.name}${since}, which a pod of the attempt was on.`,
  };
}
