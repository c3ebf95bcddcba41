import { ApiError } from "@trainingrun/operator/kubernetes/api-error.ts";
import type { ApiClient } from "@trainingrun/operator/kubernetes/client.ts";
import type { KubeObject } from "@trainingrun/operator/kubernetes/kube-object.ts";
import { claims, events, pods, type Resource } from "@trainingrun/operator/kubernetes/resource.ts";
import fc from "fast-check";
import { specWith } from "../../../../../operator/test/run-builder.ts";
import { leases } from "../built-in-kinds.ts";
import { runs } from "./served-api.ts";

/** The kinds that histories are about. */
export const playedKinds = { runs, pods, claims, leases, events } as const;
export type PlayedKind = keyof typeof playedKinds;

/** What of the object, as it was last seen, a write names. */
type Guard = "Nothing" | "Fresh" | "OldVersion" | "OtherUid";

/** One thing that is asked of both servers. */
export type Step = Readonly<{ kind: PlayedKind; name: string }> &
  (
    | Readonly<{ do: "Create"; metadata: "Plain" | "Held" | "Labelled" | "Versioned"; isBroken: boolean }>
    | Readonly<{ do: "Patch"; change: keyof typeof changes; guard: Guard }>
    | Readonly<{ do: "PatchStatus"; value: "Good" | "Other" | "Broken" | "Labels"; guard: Guard; isStrict: boolean }>
    | Readonly<{ do: "TakeFinalizer"; index: number; tested: "a/b" | "c/d" }>
    | Readonly<{
        do: "Delete";
        guard: Guard;
        grace: number | undefined;
        policy: "Foreground" | "Background" | "Orphan" | undefined;
      }>
    | Readonly<{ do: "Get" }>
    | Readonly<{ do: "List"; limit: string | undefined; selector: string | undefined }>
    | Readonly<{ do: "Bind" | "Evict" }>
  );

const changes = {
  Label: { metadata: { labels: { half: "first" } } },
  OtherLabel: { metadata: { labels: { half: "second" } } },
  NoLabels: { metadata: { labels: null } },
  BadLabel: { metadata: { labels: { half: "!" } } },
  Finalizers: { metadata: { finalizers: ["a/b", "c/d"] } },
  NoFinalizers: { metadata: { finalizers: [] } },
  Nothing: {},
} as const;

const guards: readonly Guard[] = ["Nothing", "Nothing", "Fresh", "Fresh", "OldVersion", "OtherUid"];
const finalizers = ["a/b", "c/d"] as const;

/**
 * Histories of one namespace. Claims are left out: their first patch is a write even where it changes nothing, since
 * admission added a finalizer that managedFields, which the model does not keep, only then takes in.
 */
export const histories = fc.array(
  fc
    .record({
      kind: fc.constantFrom<PlayedKind>("runs", "runs", "pods", "pods", "leases", "events"),
      name: fc.constantFrom("a", "b", "c"),
    })
    .chain((at) => someStep().map((step): Step => ({ ...at, ...step }))),
  { minLength: 20, maxLength: 40 },
);

function someStep() {
  const guard = fc.constantFrom(...guards);
  const created = fc.record({
    do: fc.constant("Create" as const),
    metadata: fc.constantFrom("Plain", "Held", "Labelled", "Versioned"),
    isBroken: fc.integer({ min: 0, max: 9 }).map((drawn) => drawn === 0),
  });
  const patched = fc.record({
    do: fc.constant("Patch" as const),
    change: fc.constantFrom(...(Object.keys(changes) as (keyof typeof changes)[])),
    guard,
  });
  return fc.oneof(
    { weight: 5, arbitrary: created },
    { weight: 4, arbitrary: patched },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant("PatchStatus" as const),
        value: fc.constantFrom("Good", "Other", "Broken", "Labels"),
        guard,
        isStrict: fc.boolean(),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant("TakeFinalizer" as const),
        index: fc.integer({ min: 0, max: 1 }),
        tested: fc.constantFrom(...finalizers),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant("Delete" as const),
        guard,
        grace: fc.constantFrom(undefined, undefined, 0, 5),
        policy: fc.constantFrom(undefined, undefined, undefined, "Background", "Foreground", "Orphan"),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("Get" as const) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant("List" as const),
        limit: fc.constantFrom(undefined, "1", "2"),
        selector: fc.constantFrom(undefined, "half=first", "half", "half notin (first)"),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("Bind" as const, "Evict" as const) }) },
  );
}

/** One of the two servers, and what it has shown of each object. */
export type Side = Readonly<{
  client: ApiClient;
  namespace: string;
  seen: Map<string, { uid: string; version: string; firstVersion: string }>;
}>;

const forever = { signal: new AbortController().signal };
const otherUid = "00000000-0000-4000-8000-000000000000";

/** What the server says to a step: an object, a list of objects, or a refusal. */
export async function played(side: Side, step: Step): Promise<unknown> {
  try {
    const answer = await asked(side, step);
    notice(side, step, answer);
    return answer;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const { status, reason, fields, unknownFields, detail } = error;
    const isInvalid = detail.includes("is invalid:");
    return { status, reason, fields: [...new Set(fields)].sort(), unknownFields, isInvalid };
  }
}

async function asked(side: Side, step: Step): Promise<unknown> {
  const { client, namespace } = side;
  const resource: Resource = playedKinds[step.kind];
  const target = { resource, namespace, name: step.name };
  switch (step.do) {
    case "Create":
      return await client.create({ resource, namespace }, newObject(side, step), forever);
    case "Patch":
      return await client.mergePatch(target, guarded(side, step, changes[step.change]), forever);
    case "PatchStatus": {
      const status = guarded(side, step, statusOf(step.kind, step.value));
      const place = { ...target, subresource: "status" };
      // What compiled kinds lack the model does not know.
      const isStrict = step.isStrict && step.kind === "runs";
      return await (isStrict
        ? client.strictMergePatch(place, status, forever)
        : client.mergePatch(place, status, forever));
    }
    case "TakeFinalizer": {
      const path = `/metadata/finalizers/${step.index}`;
      const operations = [
        { op: "test", path, value: step.tested },
        { op: "remove", path },
      ];
      return await client.jsonPatch(target, operations, forever);
    }
    case "Delete": {
      const { uid = otherUid, version = "1", firstVersion = "1" } = side.seen.get(`${step.kind}/${step.name}`) ?? {};
      const wanted = {
        Nothing: { uid },
        Fresh: { uid, resourceVersion: version },
        OldVersion: { uid, resourceVersion: firstVersion },
        OtherUid: { uid: otherUid },
      }[step.guard];
      const grace = step.grace === undefined ? {} : { gracePeriodSeconds: step.grace };
      const policy = step.policy === undefined ? {} : { propagationPolicy: step.policy };
      return await client.remove(target, { preconditions: wanted, ...grace, ...policy }, forever);
    }
    case "Get":
      return await client.get(target, forever);
    case "List":
      return await wholeList(side, resource, { limit: step.limit, labelSelector: step.selector });
    case "Bind":
    case "Evict":
      return await askedOfPod(side, step);
  }
}

async function askedOfPod({ client, namespace }: Side, step: Step): Promise<unknown> {
  const subresource = step.do === "Bind" ? "binding" : "eviction";
  const metadata = { name: step.name, namespace };
  const body =
    step.do === "Bind"
      ? { apiVersion: "v1", kind: "Binding", metadata, target: { apiVersion: "v1", kind: "Node", name: "node-a" } }
      : { apiVersion: "policy/v1", kind: "Eviction", metadata };
  const answer = await client.create<{ metadata: KubeObject["metadata"]; status?: unknown }>(
    { resource: pods, namespace, name: step.name, subresource },
    body,
    forever,
  );
  return { status: answer.status };
}

async function wholeList(
  { client, namespace }: Side,
  resource: Resource,
  query: Readonly<{ limit: string | undefined; labelSelector: string | undefined }>,
): Promise<unknown> {
  const pages: unknown[] = [];
  let next: string | undefined;
  do {
    const page = await client.list<KubeObject>({ resource, namespace }, { ...query, continue: next }, forever);
    next = page.metadata.continue === "" ? undefined : page.metadata.continue;
    pages.push({ items: page.items, remaining: page.metadata.remainingItemCount });
  } while (next !== undefined);
  return pages;
}

function notice(side: Side, step: Step, answer: unknown): void {
  const { metadata } = answer as { metadata?: KubeObject["metadata"] };
  if (metadata?.uid === undefined || metadata.uid === "") return;
  const key = `${step.kind}/${step.name}`;
  const known = side.seen.get(key);
  const firstVersion = known?.uid === metadata.uid ? known.firstVersion : metadata.resourceVersion;
  side.seen.set(key, { uid: metadata.uid, version: metadata.resourceVersion, firstVersion });
}

function guarded(side: Side, step: Step & Readonly<{ guard: Guard }>, patch: object): object {
  const known = side.seen.get(`${step.kind}/${step.name}`);
  const { uid = otherUid, version = "1", firstVersion = "1" } = known ?? {};
  const named = {
    Nothing: {},
    Fresh: { uid, resourceVersion: version },
    OldVersion: { uid, resourceVersion: firstVersion },
    OtherUid: { uid: otherUid },
  }[step.guard];
  const { metadata, ...rest } = patch as { metadata?: object };
  return { ...rest, metadata: { ...metadata, ...named } };
}

function newObject({ namespace }: Side, step: Step & Readonly<{ do: "Create" }>): object {
  const name = step.isBroken && step.kind !== "runs" ? "Not A Name" : step.name;
  const metadata = {
    Plain: { name },
    Held: { name, finalizers: [...finalizers] },
    Labelled: { name, namespace, labels: { half: "first" }, annotations: {} },
    Versioned: { name, resourceVersion: step.kind === "runs" ? "" : "1" },
  }[step.metadata];
  return { metadata, ...contentOf(step.kind, namespace, step.isBroken) };
}

function contentOf(kind: PlayedKind, namespace: string, isBroken: boolean): object {
  switch (kind) {
    case "runs": {
      const spec = specWith(isBroken ? { workers: 0, stall: { timeoutSeconds: "soon" } } : { unknown: true });
      return { apiVersion: "trainingrun.dev/v1alpha1", kind: "TrainingRun", spec, status: { state: "Running" } };
    }
    case "pods":
      return {
        spec: { containers: [{ name: "trainer", image: "example.com/mnist" }], terminationGracePeriodSeconds: 7 },
      };
    case "claims":
      return { spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } } };
    case "leases":
      return { spec: { holderIdentity: "x", leaseDurationSeconds: 15, renewTime: "2026-01-05T12:00:00.000000Z" } };
    case "events":
      return {
        eventTime: "2026-01-05T12:00:00.000000Z",
        reportingController: "trainingrun.dev/operator",
        reportingInstance: "test",
        type: "Normal",
        reason: "Started",
        action: "Start",
        note: "a note",
        regarding: { apiVersion: "v1", kind: "Pod", namespace, name: "a", uid: otherUid },
      };
  }
}

function statusOf(kind: PlayedKind, value: "Good" | "Other" | "Broken" | "Labels"): object {
  if (value === "Labels") {
    // Of a run's status, labels change nothing but managedFields, which the model does not keep: a test of their own.
    const labels = kind === "runs" ? {} : { labels: { half: "second" } };
    return { metadata: labels, spec: { suspend: true }, status: {} };
  }
  if (kind !== "runs") return { status: { phase: { Good: "Running", Other: "Failed", Broken: "Succeeded" }[value] } };
  if (value === "Broken") return { status: { state: "Odd", attempt: -1, conditions: [{ type: "" }] } };
  if (value === "Good") return { status: { state: "Running", attempt: 1 } };
  const lastTransitionTime = "2026-01-05T12:00:00Z";
  const conditions = [{ type: "Odd", status: "True", reason: "Odd", message: "", lastTransitionTime, unknown: 1 }];
  return { status: { state: "Saving", attempt: 1, unknown: { a: 5 }, conditions } };
}
