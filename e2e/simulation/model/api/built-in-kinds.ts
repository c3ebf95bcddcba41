import { claims, events, nodes, type Resource, services } from "@trainingrun/operator/kubernetes/resource.ts";
import { badRequest, type Cause } from "./answers.ts";
import { builtIn, immutable, isMicroTime, type Kind, notAllowed, required, withSpecDefaults } from "./kind.ts";
import { type Fields, fieldsOf, keyIn, type StoredObject } from "./object.ts";
import { podKind } from "./pods.ts";

/** Namespaces: what is in one goes with it. */
export const namespaces = named("", "v1", "namespaces", "Namespace", "Cluster");
/** The volumes that claims are bound to. */
export const volumes = named("", "v1", "persistentvolumes", "PersistentVolume", "Cluster");
/** Leases: who leads. */
export const leases = named("coordination.k8s.io", "v1", "leases", "Lease", "Namespaced");
/** Events as they were before they had a group; they can be made so, and are read as the others. */
export const coreEvents = named("", "v1", "events", "Event", "Namespaced");
/** Keeps a claim until no pod uses it. */
export const claimProtection = "kubernetes.io/pvc-protection";

/** Every kind that the server knows without a definition. */
export const builtInKinds: readonly Kind[] = [
  builtIn(namespaces, {
    hasStatus: true,
    showsDeleted: true,
    selectable: ["status.phase"],
    made: (namespace) => ({
      ...namespace,
      metadata: {
        ...namespace.metadata,
        labels: { ...namespace.metadata.labels, "kubernetes.io/metadata.name": namespace.metadata.name },
      },
      spec: { finalizers: ["kubernetes"] },
      status: { phase: "Active" },
    }),
  }),
  builtIn(nodes, { hasStatus: true, selectable: ["spec.unschedulable"] }),
  podKind,
  builtIn(claims, {
    hasStatus: true,
    showsDeleted: true,
    decoded: (claim) => withSpecDefaults(claim, { volumeMode: "Filesystem" }),
    made: (claim) => ({ ...withProtection(claim), status: { phase: "Pending" } }),
    problems: (claim, before, part) => (part === "status" ? [] : claimProblems(claim, before)),
  }),
  builtIn(volumes, { hasStatus: true, showsDeleted: true }),
  builtIn(services, {
    hasStatus: true,
    showsDeleted: true,
    madeByUpdates: true,
    decoded: (service) => withSpecDefaults(service, { type: "ClusterIP", sessionAffinity: "None" }),
  }),
  builtIn(named("", "v1", "configmaps", "ConfigMap", "Namespaced")),
  builtIn(named("", "v1", "secrets", "Secret", "Namespaced"), {
    decoded: (secret) => ({ ...secret, type: secret.type ?? "Opaque" }),
  }),
  builtIn(named("apps", "v1", "deployments", "Deployment", "Namespaced"), { hasStatus: true, countsGenerations: true }),
  builtIn(leases, {
    takesBlindUpdates: false,
    madeByUpdates: true,
    decoded: (lease) => withMicroTimes(lease, fieldsOf(lease.spec), ["acquireTime", "renewTime"]),
    problems: ({ spec }) => leaseProblems(fieldsOf(spec)),
  }),
  builtIn(events, {
    madeByUpdates: true,
    isCollected: false,
    selectable: ["uid", "name", "namespace", "kind"].map((field) => `regarding.${field}`).concat("reason", "type"),
    decoded: (event) => withMicroTimes(event, event, ["eventTime"]),
    problems: eventProblems,
  }),
  builtIn(coreEvents, { madeByUpdates: true }),
];

/** An event that was written in the old form, as it is kept. */
export function eventOfCore(event: StoredObject): StoredObject {
  const { involvedObject, message, source, firstTimestamp, lastTimestamp, count, reportingComponent, ...rest } = event;
  return {
    ...rest,
    apiVersion: "events.k8s.io/v1",
    regarding: involvedObject,
    note: message,
    deprecatedSource: source,
    deprecatedFirstTimestamp: firstTimestamp,
    deprecatedLastTimestamp: lastTimestamp,
    deprecatedCount: count,
    reportingController: reportingComponent,
  };
}

function named(group: string, version: string, plural: string, kind: string, scope: Resource["scope"]): Resource {
  return { group, version, plural, kind, scope };
}

function withProtection(claim: StoredObject): StoredObject {
  const finalizers = [...new Set([...(claim.metadata.finalizers ?? []), claimProtection])];
  return { ...claim, metadata: { ...claim.metadata, finalizers } };
}

function claimProblems(claim: StoredObject, before: StoredObject | undefined): readonly Cause[] {
  const spec = fieldsOf(claim.spec);
  if (before === undefined) {
    const missing = (["accessModes", "resources"] as const).filter((field) => spec[field] === undefined);
    return missing.map((field) => required(`spec.${field}`));
  }
  const old = fieldsOf(before.spec);
  // A claim is given its volume once.
  const volumeOf = (part: Fields) => (old.volumeName === undefined ? undefined : part.volumeName);
  const fixed = (part: Fields) => ({ ...part, resources: undefined, volumeName: volumeOf(part) });
  return immutable("spec", fixed(spec), fixed(old)).map((cause) => ({ ...cause, reason: "FieldValueForbidden" }));
}

function leaseProblems({ leaseDurationSeconds, leaseTransitions }: Fields): readonly Cause[] {
  const isBelow = (value: unknown, least: number) => typeof value === "number" && value < least;
  return [
    ...(isBelow(leaseDurationSeconds, 1)
      ? [notAllowed("spec.leaseDurationSeconds", leaseDurationSeconds, "must be greater than 0")]
      : []),
    ...(isBelow(leaseTransitions, 0)
      ? [notAllowed("spec.leaseTransitions", leaseTransitions, "must be greater than or equal to 0")]
      : []),
  ];
}

function eventProblems(event: StoredObject, before: StoredObject | undefined): readonly Cause[] {
  // One that was made in the old form says when by its old fields.
  if (event.deprecatedLastTimestamp !== undefined) return [];
  if (before === undefined) return event.eventTime == null ? [required("eventTime")] : [];
  const old = { regarding: "involvedObject", note: "message" } as const;
  const fixed = ["regarding", "reason", "note", "type", "action"] as const;
  return fixed.flatMap((field) =>
    immutable(field in old ? old[field as keyof typeof old] : field, event[field], before[field]),
  );
}

function withMicroTimes(object: StoredObject, holder: Fields, fields: readonly string[]): StoredObject {
  const wrong = fields.find((field) => !isMicroTime(holder[field]));
  if (wrong === undefined) return object;
  throw badRequest(
    `${object.kind} ${keyIn(object.metadata)} cannot be decoded, for ${wrong} is no MicroTime: ${JSON.stringify(holder[wrong])}`,
  );
}
