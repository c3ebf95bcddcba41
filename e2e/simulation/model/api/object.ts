import type { KubeObject, ObjectMeta, OwnerReference } from "@trainingrun/operator/kubernetes/kube-object.ts";
import { badRequest } from "./answers.ts";

/** Any JSON object. Everything that is stored is shared by answers, watches and models: nobody writes into it. */
export type Fields = Readonly<Record<string, unknown>>;

/** An object's metadata as the server keeps it. */
export type Metadata = ObjectMeta & Readonly<{ generateName?: string }>;

/** An object as the server keeps it, or as a write brings it once it is read. */
export type StoredObject = Omit<KubeObject, "metadata"> &
  Readonly<{ apiVersion: string; kind: string; metadata: Metadata; [field: string]: unknown }>;

/** Whether a value is a JSON object. */
export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value as a JSON object; one without fields where it is none. */
export function fieldsOf(value: unknown): Fields {
  return isFields(value) ? value : {};
}

/** The value as a list; an empty one where it is none. */
export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Whether two JSON values are the same; a field that is undefined counts as absent. */
export function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, index) => isSame(item, b[index]));
  }
  if (!isFields(a) || !isFields(b)) return false;
  for (const key in a) if (!isSame(a[key], b[key])) return false;
  for (const key in b) if (b[key] !== undefined && a[key] === undefined) return false;
  return true;
}

/** An instant as the server writes it: whole seconds. */
export function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** Where an object stands within its collection. */
export function keyIn(metadata: Readonly<{ namespace?: string | undefined; name: string }>): string {
  return metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;
}

/**
 * Reads metadata: what the server does not know is left out, what is empty counts as absent, what is of another type
 * cannot be decoded.
 */
export function readMetadata(value: unknown): Metadata {
  const given = fieldsOf(value);
  const text = (field: string) => optionalText(given, field);
  const labels = textMap(given, "labels");
  const annotations = textMap(given, "annotations");
  const finalizers = listOf(given.finalizers).map((each) => textOf(each, "metadata.finalizers"));
  const owners = listOf(given.ownerReferences).map(readOwner);
  const { generation, deletionGracePeriodSeconds: grace } = given;
  return {
    name: text("name") ?? "",
    ...optional("generateName", text("generateName")),
    ...optional("namespace", text("namespace")),
    uid: text("uid") ?? "",
    resourceVersion: text("resourceVersion") ?? "",
    ...(typeof generation === "number" ? { generation } : {}),
    ...optional("creationTimestamp", text("creationTimestamp")),
    ...optional("deletionTimestamp", text("deletionTimestamp")),
    ...(typeof grace === "number" ? { deletionGracePeriodSeconds: grace } : {}),
    ...(labels === undefined ? {} : { labels }),
    ...(annotations === undefined ? {} : { annotations }),
    ...(finalizers.length === 0 ? {} : { finalizers }),
    ...(owners.length === 0 ? {} : { ownerReferences: owners }),
  };
}

/** The same object with other metadata. */
export function withMetadata(object: StoredObject, change: Partial<Metadata>): StoredObject {
  return { ...object, metadata: { ...object.metadata, ...change } };
}

function readOwner(value: unknown): OwnerReference {
  const owner = fieldsOf(value);
  const part = (field: string) => textOf(owner[field], `metadata.ownerReferences.${field}`);
  return {
    apiVersion: part("apiVersion"),
    kind: part("kind"),
    name: part("name"),
    uid: part("uid"),
    ...(typeof owner.controller === "boolean" ? { controller: owner.controller } : {}),
    ...(typeof owner.blockOwnerDeletion === "boolean" ? { blockOwnerDeletion: owner.blockOwnerDeletion } : {}),
  };
}

function optional<K extends string>(key: K, value: string | undefined): { readonly [P in K]?: string } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]?: string });
}

function optionalText(given: Fields, field: string): string | undefined {
  const value = given[field];
  if (value === undefined || value === null || value === "") return undefined;
  return textOf(value, `metadata.${field}`);
}

function textMap(given: Fields, field: string): Readonly<Record<string, string>> | undefined {
  const value = given[field];
  if (value === undefined || value === null) return undefined;
  if (!isFields(value)) throw badRequest(`metadata.${field} cannot be decoded, for it is no map`);
  const entries = Object.entries(value);
  if (entries.length === 0) return undefined;
  return Object.fromEntries(entries.map(([key, each]) => [key, textOf(each, `metadata.${field}.${key}`)]));
}

function textOf(value: unknown, path: string): string {
  if (typeof value === "string") return value;
  throw badRequest(`${path} cannot be decoded, for it is no text: ${JSON.stringify(value)}`);
}
