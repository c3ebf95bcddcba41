import type { Resource } from "@trainingrun/operator/kubernetes/resource.ts";
import type { Cause } from "./answers.ts";
import { type Fields, fieldsOf, isSame, type StoredObject } from "./object.ts";

/** Which part of an object a write may change. */
export type Part = "whole" | "status";

/** How the server treats the objects of one resource. */
export type Kind = Readonly<{
  resource: Resource;
  /** Defined by a schema in the cluster; not compiled into the server. */
  isCustom: boolean;
  hasStatus: boolean;
  countsGenerations: boolean;
  /** Updates that name no version are taken. */
  takesBlindUpdates: boolean;
  /** An update of an object that is not there makes it. */
  madeByUpdates: boolean;
  /** A deletion is answered with the object, also where it is gone at once. */
  showsDeleted: boolean;
  /** A deletion waits for a grace period and the kubelet's last word. */
  endsGracefully: boolean;
  /** A deletion may say what becomes of its dependents. */
  isCollected: boolean;
  /** Fields that field selectors may name. */
  selectable: readonly string[];
  /** The object as the server understands it: what it does not know left out, what it fills in filled in. */
  decoded: (object: StoredObject) => StoredObject;
  /** The paths of what the definition of a custom kind leaves out. Of a compiled kind none are known here. */
  unknown: (object: Fields) => readonly string[];
  /** The object as it begins. */
  made: (object: StoredObject) => StoredObject;
  /** What an object breaks, in itself or as a change of what was before. */
  problems: (object: StoredObject, before: StoredObject | undefined, part: Part) => readonly Cause[];
}>;

/** A kind compiled into the server, with what is particular to it. */
export function builtIn(resource: Resource, particular: Partial<Kind> = {}): Kind {
  return {
    resource,
    isCustom: false,
    hasStatus: false,
    countsGenerations: false,
    takesBlindUpdates: true,
    madeByUpdates: false,
    showsDeleted: false,
    endsGracefully: false,
    isCollected: true,
    decoded: (object) => object,
    unknown: () => [],
    made: (object) => object,
    problems: () => [],
    ...particular,
    selectable: [...everySelectable, ...(particular.selectable ?? [])],
  };
}

/** The fields that objects of every kind can be selected by. */
export const everySelectable = ["metadata.name", "metadata.namespace"];

/** The object with defaults laid under its spec. */
export function withSpecDefaults(object: StoredObject, defaults: Fields): StoredObject {
  return { ...object, spec: { ...defaults, ...fieldsOf(object.spec) } };
}

/** What is wrong with an instant that must be a MicroTime; such a value is not even decoded. */
export function isMicroTime(value: unknown): boolean {
  if (value === undefined || value === null) return true;
  return typeof value === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)$/.test(value);
}

/** A field that was not allowed to change and did. */
export function immutable(field: string, now: unknown, before: unknown): readonly Cause[] {
  if (isSame(now, before)) return [];
  const message = `Invalid value: ${JSON.stringify(now)}: field is immutable`;
  return [{ reason: "FieldValueInvalid", field, message }];
}

/** A field that must be there and is not. */
export function required(field: string): Cause {
  return { reason: "FieldValueRequired", field, message: "Required value" };
}

/** A field whose value is none of those that are allowed. */
export function notAllowed(field: string, value: unknown, why: string): Cause {
  return { reason: "FieldValueInvalid", field, message: `Invalid value: ${JSON.stringify(value)}: ${why}` };
}
