import { createHash } from "node:crypto";
import type { KubeObject } from "./kube-object.ts";
import { apiVersionOf, events, type Resource } from "./resource.ts";

/** One thing worth telling about an object. `reason` and `action` are CamelCase words, `note` a sentence. */
export type Occurrence = Readonly<{
  regarding: KubeObject;
  resource: Resource;
  type: "Normal" | "Warning";
  reason: string;
  action: string;
  note: string;
}>;

/** What is kept of an occurrence: a reference in place of the object, and words within the server's limits. */
export type Told = Readonly<{
  regarding: Readonly<{
    apiVersion: string;
    kind: string;
    namespace: string | undefined;
    name: string;
    uid: string;
    resourceVersion: string;
  }>;
  type: "Normal" | "Warning";
  reason: string;
  action: string;
  note: string;
}>;

/** Who says it: `trainingrun.dev/operator`, and this process, such as its pod's name. */
export type Reporter = Readonly<{ controller: string; instance: string }>;

/** How often something was told, and when first and last, in milliseconds of the wall clock. */
export type Counted = Readonly<{ count: number; firstAt: number; lastAt: number }>;

/** Keeps of an occurrence what its event needs, so that no object is held in memory for an event's sake. */
export function toldOf({ regarding, resource, type, reason, action, note }: Occurrence): Told {
  const { namespace, name, uid, resourceVersion } = regarding.metadata;
  return {
    regarding: { apiVersion: apiVersionOf(resource), kind: resource.kind, namespace, name, uid, resourceVersion },
    type,
    reason: reason.slice(0, longestWord),
    action: action.slice(0, longestWord),
    note: shorten(note),
  };
}

/** Where the event about an object stands; one about a cluster-scoped object stands in `default`. */
export function namespaceOf(told: Told): string {
  return told.regarding.namespace ?? "default";
}

/**
 * The name of a new event: the same for the same parts, so that a repeated creation meets the first one. `parts`
 * must set this event apart from every other about the object.
 */
export function eventName(told: Told, parts: readonly (string | number)[]): string {
  const digest = createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, digestLength);
  const prefix = told.regarding.name.slice(0, longestName - digestLength - 1).replace(/[-.]+$/, "");
  return `${prefix}.${digest}`;
}

/** The event as it is created. Told more than once already, it begins as a series. */
export function eventManifest(told: Told, name: string, reporter: Reporter, counted: Counted): unknown {
  const { regarding, type, reason, action, note } = told;
  return {
    apiVersion: apiVersionOf(events),
    kind: events.kind,
    metadata: { namespace: namespaceOf(told), name },
    eventTime: microTime(counted.firstAt),
    reportingController: reporter.controller,
    reportingInstance: reporter.instance.slice(0, longestWord),
    type,
    reason,
    action,
    note: shorten(note),
    regarding,
    ...(counted.count > 1 ? seriesPatch(counted) : {}),
  };
}

/** Sets how often it was told. All else about an event is immutable, its words too. */
export function seriesPatch({ count, lastAt }: Counted): Readonly<{ series: unknown }> {
  return { series: { count, lastObservedTime: microTime(lastAt) } };
}

const longestWord = 128;
const longestNoteBytes = 1024;
const longestName = 253;
const digestLength = 16;

/** An instant as the API's MicroTime; a plain timestamp is refused. */
function microTime(ms: number): string {
  return new Date(ms).toISOString().replace("Z", "000Z");
}

function shorten(note: string): string {
  const bytes = Buffer.from(note);
  if (bytes.length <= longestNoteBytes) return note;
  return `${bytes.toString("utf8", 0, longestNoteBytes - 4).replace(/\uFFFD+$/, "")}…`;
}
