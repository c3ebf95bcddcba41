import { badRequest, conflict } from "./answers.ts";
import type { Kind } from "./kind.ts";
import { type Fields, fieldsOf, type Metadata, type StoredObject, timestamp } from "./object.ts";
import { hasNamespaceHold, ordered } from "./writes.ts";

/** What a deletion asks for. */
export type Deletion = Readonly<{
  uid?: string;
  resourceVersion?: string;
  gracePeriodSeconds?: number;
  propagationPolicy?: "Foreground" | "Background" | "Orphan";
}>;

/**
 * What becomes of the object: nothing for now, it is marked, it goes, or (a pod without a grace period) it is marked
 * and goes, which are two revisions.
 */
export type DeletionStep =
  | Readonly<{ kind: "Waits" }>
  | Readonly<{ kind: "Marked"; object: StoredObject }>
  | Readonly<{ kind: "Gone" }>
  | Readonly<{ kind: "MarkedAndGone"; object: StoredObject }>;

/** Holds an object until the collector has let its dependents go. */
export const orphanFinalizer = "orphan";
/** Holds an object until the collector has removed its dependents. */
export const foregroundFinalizer = "foregroundDeletion";

/** Reads the body of a DELETE. */
export function readDeletion(body: unknown): Deletion {
  const { preconditions, gracePeriodSeconds, propagationPolicy } = fieldsOf(body);
  const { uid, resourceVersion } = fieldsOf(preconditions);
  const policy = (["Foreground", "Background", "Orphan"] as const).find((each) => each === propagationPolicy);
  if (propagationPolicy !== undefined && policy === undefined) {
    throw badRequest(`there is no propagation policy ${JSON.stringify(propagationPolicy)}`);
  }
  return {
    ...(typeof uid === "string" ? { uid } : {}),
    ...(typeof resourceVersion === "string" ? { resourceVersion } : {}),
    ...(typeof gracePeriodSeconds === "number" ? { gracePeriodSeconds } : {}),
    ...(policy === undefined ? {} : { propagationPolicy: policy }),
  };
}

/** Judges a deletion of the object as it stands now. */
export function deletionStep(kind: Kind, object: StoredObject, asked: Deletion, nowMs: number): DeletionStep {
  refuseIfOther(kind, object, asked);
  if (object.kind === "Namespace") return namespaceStep(object, nowMs);
  const graceful = kind.endsGracefully ? graceOf(object, asked, nowMs) : "NotGraceful";
  if (graceful === "Pending") return { kind: "Waits" };
  const held = withCollectorHold(object.metadata, kind.isCollected ? asked.propagationPolicy : undefined);
  const isHeld = (held.finalizers ?? []).length > 0;
  if (graceful !== "NotGraceful") {
    const marked = { ...object, metadata: ordered({ ...held, ...graceful }) };
    return isHeld || graceful.deletionGracePeriodSeconds > 0
      ? { kind: "Marked", object: marked }
      : { kind: "MarkedAndGone", object: marked };
  }
  // An object that ends at once goes as it is: that the deletion took a hold of the collector's off is never written.
  return isHeld ? { kind: "Marked", object: markedNow(object, held, nowMs) } : { kind: "Gone" };
}

function refuseIfOther({ resource }: Kind, { metadata }: StoredObject, asked: Deletion): void {
  const { name, uid, resourceVersion } = metadata;
  const refuse = (what: string, wanted: string, seen: string) =>
    conflict(
      resource,
      name,
      `the ${what} in the precondition (${wanted}) does not match the ${what} in record (${seen})`,
    );
  if (asked.uid !== undefined && asked.uid !== uid) throw refuse("UID", asked.uid, uid);
  if (asked.resourceVersion !== undefined && asked.resourceVersion !== resourceVersion) {
    throw refuse("ResourceVersion", asked.resourceVersion, resourceVersion);
  }
}

/** The first deletion begins the end of a namespace; the last one comes when it is empty. */
function namespaceStep(object: StoredObject, nowMs: number): DeletionStep {
  const { metadata, status } = object;
  if (metadata.deletionTimestamp === undefined) {
    const marked = { ...metadata, deletionTimestamp: timestamp(nowMs) };
    return {
      kind: "Marked",
      object: { ...object, metadata: ordered(marked), status: { ...fieldsOf(status), phase: "Terminating" } },
    };
  }
  const isHeld = hasNamespaceHold(object) || (metadata.finalizers ?? []).length > 0;
  return isHeld ? { kind: "Waits" } : { kind: "Gone" };
}

type Grace = Readonly<{ deletionTimestamp: string; deletionGracePeriodSeconds: number; generation?: number }>;

function graceOf(object: StoredObject, asked: Deletion, nowMs: number): Grace | "Pending" | "NotGraceful" {
  const { deletionTimestamp, deletionGracePeriodSeconds: before, generation } = object.metadata;
  const wanted = asked.gracePeriodSeconds === undefined ? undefined : wholeGrace(asked.gracePeriodSeconds);
  if (deletionTimestamp === undefined) {
    const seconds = isNobodysToStop(object) ? 0 : (wanted ?? ownGrace(fieldsOf(object.spec)));
    return {
      deletionTimestamp: timestamp(nowMs + seconds * 1000),
      deletionGracePeriodSeconds: seconds,
      ...(generation === undefined ? {} : { generation: generation + 1 }),
    };
  }
  if (before === undefined || before === 0) return "NotGraceful";
  // A grace period can only be made shorter.
  if (wanted === undefined || wanted >= before) return "Pending";
  const endsAt = Date.parse(deletionTimestamp) + (wanted - before) * 1000;
  const isOver = endsAt < nowMs;
  return {
    deletionTimestamp: timestamp(isOver ? nowMs : endsAt),
    deletionGracePeriodSeconds: isOver && wanted !== 0 ? 1 : wanted,
  };
}

/** No kubelet has the pod, or it has ended: nobody needs to be waited for. */
function isNobodysToStop({ spec, status }: StoredObject): boolean {
  const { phase } = fieldsOf(status);
  const { nodeName } = fieldsOf(spec);
  return nodeName === undefined || nodeName === "" || phase === "Failed" || phase === "Succeeded";
}

function ownGrace({ terminationGracePeriodSeconds }: Fields): number {
  return typeof terminationGracePeriodSeconds === "number" ? wholeGrace(terminationGracePeriodSeconds) : 0;
}

function wholeGrace(seconds: number): number {
  return seconds < 0 ? 1 : seconds;
}

function withCollectorHold(metadata: Metadata, policy: Deletion["propagationPolicy"]): Metadata {
  if (policy === undefined) return metadata;
  const others = (metadata.finalizers ?? []).filter((each) => each !== orphanFinalizer && each !== foregroundFinalizer);
  const hold = { Foreground: [foregroundFinalizer], Orphan: [orphanFinalizer], Background: [] }[policy];
  return { ...metadata, finalizers: [...others, ...hold] };
}

function markedNow(object: StoredObject, metadata: Metadata, nowMs: number): StoredObject {
  const { deletionTimestamp, generation } = metadata;
  const isFirst = deletionTimestamp === undefined;
  const isLater = deletionTimestamp !== undefined && Date.parse(deletionTimestamp) > nowMs;
  const marked = {
    ...metadata,
    deletionTimestamp: isFirst || isLater ? timestamp(nowMs) : deletionTimestamp,
    deletionGracePeriodSeconds: 0,
    ...(isFirst && generation !== undefined ? { generation: generation + 1 } : {}),
  };
  return { ...object, metadata: ordered(marked) };
}
