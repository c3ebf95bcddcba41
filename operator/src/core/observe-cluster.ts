import { z } from "zod";
import { labels } from "../api/names.ts";
import { instantOrNull } from "./instant.ts";
import type { ObservedNode, ObservedVolume } from "./observed.ts";

const outOfServiceTaint = "node.kubernetes.io/out-of-service";

const Claim = z.looseObject({
  metadata: z.looseObject({
    name: z.string(),
    uid: z.string(),
    deletionTimestamp: z.string().nullish(),
    labels: z.record(z.string(), z.string()).default({}),
  }),
  spec: z.looseObject({ accessModes: z.array(z.string()).default([]) }).prefault({}),
  status: z.looseObject({ phase: z.enum(["Pending", "Bound", "Lost"]).default("Pending") }).prefault({}),
});

const Node = z.looseObject({
  spec: z.looseObject({ taints: z.array(z.looseObject({ key: z.string() })).default([]) }).prefault({}),
  status: z
    .looseObject({
      conditions: z
        .array(z.looseObject({ type: z.string(), status: z.string(), lastTransitionTime: z.string().nullish() }))
        .default([]),
    })
    .prefault({}),
});

/**
 * Reads a claim as the API server gives it. `problem` is the newest warning event about it, in the cluster's
 * words. Throws on an object that is no claim.
 */
export function observeClaim(raw: unknown, problem: string): ObservedVolume {
  const { metadata, spec, status } = Claim.parse(raw);
  return {
    kind: "Present",
    claimName: metadata.name,
    uid: metadata.uid,
    phase: status.phase,
    runUid: metadata.labels[labels.runUid] ?? null,
    accessModes: spec.accessModes,
    deletionRequested: Boolean(metadata.deletionTimestamp),
    problem,
  };
}

/** Reads a node that is there. Throws on an object that is no node. */
export function observeNode(name: string, raw: unknown): ObservedNode {
  const { spec, status } = Node.parse(raw);
  const ready = status.conditions.find(({ type }) => type === "Ready");
  return {
    name,
    presence: "Present",
    ready: ready?.status === "True" || ready?.status === "False" ? ready.status : "Unknown",
    readySince: instantOrNull(ready?.lastTransitionTime),
    outOfService: spec.taints.some(({ key }) => key === outOfServiceTaint),
  };
}

/** A node that cannot be seen: it is gone, or the operator may not read nodes. */
export function unseenNode(name: string, presence: "Absent" | "Unknown"): ObservedNode {
  return { name, presence, ready: "Unknown", readySince: null, outOfService: false };
}
