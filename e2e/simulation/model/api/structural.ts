import type { Cause } from "./answers.ts";
import { type Fields, fieldsOf, isFields, listOf } from "./object.ts";

/** A structural schema, compiled once: every write of an object runs through it. */
export type Structural = Readonly<{
  /** The value without what the schema does not know, and with its defaults. What does not change is shared. */
  completed: (value: unknown) => unknown;
  /** Where the value breaks the schema; `at` is the path of the value. */
  problems: (value: unknown, at: string) => readonly Cause[];
  /** The paths of what the schema does not know, and `completed` leaves out. */
  unknown: (value: unknown) => readonly string[];
}>;

/** Compiles the part of OpenAPI that a CustomResourceDefinition of ours uses; an unknown word is an error. */
export function structural(schema: Fields): Structural {
  const check = checkOf(schema);
  const find = finderOf(schema);
  return {
    completed: completeOf(schema),
    problems: (value, at) => {
      const found: Cause[] = [];
      check(value, { at, found });
      return found;
    },
    unknown: (value) => {
      const found: string[] = [];
      find(value, { at: "", found });
      return found.sort();
    },
  };
}

/** A schema with a word that this file does not act on: the model would take what the server refuses. */
export class UnknownSchemaError extends Error {
  override readonly name = "UnknownSchemaError";
}

type Where = Readonly<{ at: string; found: Cause[] }>;
type Check = (value: unknown, where: Where) => void;

const known = new Set([
  ..."type description properties required items additionalProperties default enum format minimum maximum".split(" "),
  ..."minLength maxLength minItems maxItems pattern anyOf x-kubernetes-validations".split(" "),
  ..."x-kubernetes-preserve-unknown-fields x-kubernetes-int-or-string".split(" "),
]);

function completeOf(schema: Fields): (value: unknown) => unknown {
  const properties = Object.entries(fieldsOf(schema.properties)).map(([name, part]) => {
    const given = fieldsOf(part);
    return { name, complete: completeOf(given), fallback: given.default };
  });
  const byName = new Map(properties.map((property) => [property.name, property]));
  const items = isFields(schema.items) ? completeOf(schema.items) : undefined;
  const others = isFields(schema.additionalProperties) ? completeOf(schema.additionalProperties) : undefined;
  const keepsUnknown = schema["x-kubernetes-preserve-unknown-fields"] === true;
  if (items !== undefined) {
    return (value) => (Array.isArray(value) ? sharedList(value, value.map(items)) : value);
  }
  if (properties.length === 0 && others === undefined) return (value) => value;
  return (value) => {
    if (!isFields(value)) return value;
    const after: Record<string, unknown> = {};
    let isChanged = false;
    for (const key of Object.keys(value)) {
      const property = byName.get(key);
      const given = value[key];
      const complete = property?.complete ?? others;
      // A null where the schema knows the field and allows none counts as absent.
      if ((given === null && property !== undefined) || (complete === undefined && !keepsUnknown)) {
        isChanged = true;
        continue;
      }
      after[key] = complete === undefined ? given : complete(given);
      isChanged ||= after[key] !== given;
    }
    for (const { name, fallback, complete } of properties) {
      if (fallback === undefined || after[name] !== undefined) continue;
      after[name] = complete(fallback);
      isChanged = true;
    }
    return isChanged ? after : value;
  };
}

/** Finds the fields that {@link completeOf} leaves out because the schema does not know them. */
function finderOf(schema: Fields): (value: unknown, where: Readonly<{ at: string; found: string[] }>) => void {
  const byName = new Map(
    Object.entries(fieldsOf(schema.properties)).map(([name, part]) => [name, finderOf(fieldsOf(part))]),
  );
  const items = isFields(schema.items) ? finderOf(schema.items) : undefined;
  const others = isFields(schema.additionalProperties) ? finderOf(schema.additionalProperties) : undefined;
  const keepsUnknown = schema["x-kubernetes-preserve-unknown-fields"] === true;
  return (value, { at, found }) => {
    if (Array.isArray(value)) {
      value.forEach((item, index) => {
        items?.(item, { at: `${at}[${index}]`, found });
      });
      return;
    }
    if (!isFields(value)) return;
    for (const [name, each] of Object.entries(value)) {
      const find = byName.get(name) ?? others;
      const below = at === "" ? name : `${at}.${name}`;
      if (find !== undefined) find(each, { at: below, found });
      else if (!keepsUnknown) found.push(below);
    }
  };
}

function sharedList(before: readonly unknown[], after: readonly unknown[]): readonly unknown[] {
  return after.every((item, index) => item === before[index]) ? before : after;
}

function checkOf(schema: Fields): Check {
  const unknown = Object.keys(schema).find((word) => !known.has(word));
  if (unknown !== undefined) {
    throw new UnknownSchemaError(`Cannot model a schema because its word ${unknown} is not known here`);
  }
  if (schema["x-kubernetes-int-or-string"] === true) {
    return (value, where) => {
      if (typeof value !== "string" && !Number.isInteger(value)) mistyped(value, "integer or string", where);
    };
  }
  const inner = innerOf(schema);
  const allowed = Array.isArray(schema.enum) ? new Set(schema.enum) : undefined;
  return (value, where) => {
    inner(value, where);
    if (allowed !== undefined && !allowed.has(value)) {
      const values = [...allowed].map((each) => JSON.stringify(each)).join(", ");
      const message = `Unsupported value: ${JSON.stringify(value)}: supported values: ${values}`;
      where.found.push({ reason: "FieldValueNotSupported", field: where.at, message });
    }
  };
}

function innerOf(schema: Fields): Check {
  switch (schema.type) {
    case "object":
      return objectCheck(schema);
    case "array":
      return listCheck(schema);
    case "string":
      return textCheck(schema);
    case "integer":
    case "number":
      return numberCheck(schema);
    case "boolean":
      return (value, where) => {
        if (typeof value !== "boolean") mistyped(value, "boolean", where);
      };
    default:
      throw new UnknownSchemaError(`Cannot model a schema because its type is not known here: ${String(schema.type)}`);
  }
}

function objectCheck(schema: Fields): Check {
  const properties = new Map(
    Object.entries(fieldsOf(schema.properties)).map(([name, part]) => [name, checkOf(fieldsOf(part))]),
  );
  const others = isFields(schema.additionalProperties) ? checkOf(schema.additionalProperties) : undefined;
  const required = listOf(schema.required).map(String);
  return (value, where) => {
    if (!isFields(value)) {
      mistyped(value, "object", where);
      return;
    }
    const below = (name: string) => (where.at === "" ? name : `${where.at}.${name}`);
    for (const name of required) {
      if (value[name] !== undefined) continue;
      where.found.push({ reason: "FieldValueRequired", field: below(name), message: "Required value" });
    }
    for (const name of Object.keys(value)) {
      const check = properties.get(name) ?? others;
      if (check !== undefined && value[name] !== undefined) check(value[name], { at: below(name), found: where.found });
    }
  };
}

function listCheck({ items, minItems, maxItems }: Fields): Check {
  const check = isFields(items) ? checkOf(items) : undefined;
  return (value, where) => {
    if (!Array.isArray(value)) {
      mistyped(value, "array", where);
      return;
    }
    if (typeof maxItems === "number" && value.length > maxItems) {
      const message = `Too many: ${value.length}: must have at most ${maxItems} items`;
      where.found.push({ reason: "FieldValueTooMany", field: where.at, message });
    }
    if (typeof minItems === "number" && value.length < minItems) {
      broken(value, `must have at least ${minItems} items`, where);
    }
    value.forEach((item, index) => {
      check?.(item, { at: `${where.at}[${index}]`, found: where.found });
    });
  };
}

function textCheck({ minLength, maxLength, pattern, format }: Fields): Check {
  const expression = typeof pattern === "string" ? new RegExp(pattern, "u") : undefined;
  return (value, where) => {
    if (typeof value !== "string") {
      mistyped(value, "string", where);
      return;
    }
    if (typeof maxLength === "number" && value.length > maxLength && [...value].length > maxLength) {
      const message = `Too long: may not be more than ${maxLength} bytes`;
      where.found.push({ reason: "FieldValueTooLong", field: where.at, message });
    }
    if (typeof minLength === "number" && value.length < minLength) {
      broken(value, `must be at least ${minLength} chars long`, where);
    }
    if (expression !== undefined && !expression.test(value)) broken(value, `must match ${expression.source}`, where);
    if (format === "date-time" && !isDateTime(value)) mistyped(value, "date-time", where);
  };
}

function isDateTime(text: string): boolean {
  return (
    /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text))
  );
}

function numberCheck({ type, minimum, maximum }: Fields): Check {
  return (value, where) => {
    if (typeof value !== "number" || (type === "integer" && !Number.isInteger(value))) {
      mistyped(value, String(type), where);
      return;
    }
    if (typeof minimum === "number" && value < minimum) broken(value, `must be at least ${minimum}`, where);
    if (typeof maximum === "number" && value > maximum) broken(value, `must be at most ${maximum}`, where);
  };
}

function mistyped(value: unknown, type: string, { at, found }: Where): void {
  const seen = value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
  const message = `Invalid value: ${JSON.stringify(seen)}: must be of type ${type}`;
  found.push({ reason: "FieldValueTypeInvalid", field: at, message });
}

function broken(value: unknown, why: string, { at, found }: Where): void {
  found.push({ reason: "FieldValueInvalid", field: at, message: `Invalid value: ${JSON.stringify(value)}: ${why}` });
}
