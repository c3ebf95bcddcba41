import { badRequest, unfitPatch } from "./answers.ts";
import { type Fields, fieldsOf, isFields, isSame } from "./object.ts";

/** Applies a merge patch (RFC 7386). What is not changed is shared with the target. */
export function mergePatched(target: unknown, patch: unknown): unknown {
  if (!isFields(patch)) return patch;
  const before = fieldsOf(target);
  const after: Record<string, unknown> = { ...before };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete after[key];
    else after[key] = mergePatched(before[key], value);
  }
  return after;
}

/** Applies a JSON patch (RFC 6902), or refuses it whole. What is not changed is shared with the target. */
export function jsonPatched(target: unknown, operations: unknown): unknown {
  if (!Array.isArray(operations)) throw badRequest("a JSON patch must be a list of operations");
  if (operations.length > mostOperations) throw badRequest(`a JSON patch has at most ${mostOperations} operations`);
  return operations.reduce<unknown>((document, operation) => applied(document, fieldsOf(operation)), target);
}

const mostOperations = 10_000;

function applied(document: unknown, operation: Fields): unknown {
  const { op, value } = operation;
  const path = pointer(operation.path);
  switch (op) {
    case "test":
      if (isSame(read(document, path), value)) return document;
      throw unfitPatch(`testing value ${String(operation.path)} failed`);
    case "add":
      return written(document, path, value);
    case "replace":
      read(document, path);
      return written(removed(document, path), path, value);
    case "remove":
      return removed(document, path);
    case "move": {
      const from = pointer(operation.from);
      return written(removed(document, from), path, read(document, from));
    }
    case "copy":
      return written(document, path, read(document, pointer(operation.from)));
    default:
      throw unfitPatch(`there is no operation ${JSON.stringify(op)}`);
  }
}

function pointer(text: unknown): readonly string[] {
  if (typeof text !== "string") throw unfitPatch(`a path must be a text: ${JSON.stringify(text)}`);
  if (text === "") return [];
  if (!text.startsWith("/")) throw unfitPatch(`a path must begin with a slash: ${text}`);
  return text
    .slice(1)
    .split("/")
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function read(document: unknown, path: readonly string[]): unknown {
  let at = document;
  for (const part of path) {
    at = Array.isArray(at) ? at[indexIn(at, part, at.length - 1)] : fieldsOf(at)[part];
    if (at === undefined) throw absent(path);
  }
  return at;
}

function written(document: unknown, path: readonly string[], value: unknown): unknown {
  return changed(document, path, {
    list: (list, part) => list.toSpliced(part === "-" ? list.length : indexIn(list, part, list.length), 0, value),
    fields: (fields, part) => ({ ...fields, [part]: value }),
    whole: () => value,
  });
}

function removed(document: unknown, path: readonly string[]): unknown {
  return changed(document, path, {
    list: (list, part) => list.toSpliced(indexIn(list, part, list.length - 1), 1),
    fields: (fields, part) => {
      if (!(part in fields)) throw absent(path);
      const { [part]: _, ...rest } = fields;
      return rest;
    },
    whole: () => undefined,
  });
}

type Change = Readonly<{
  list: (list: readonly unknown[], part: string) => unknown;
  fields: (fields: Fields, part: string) => unknown;
  whole: () => unknown;
}>;

/** The document with one place changed, every container on the way there copied. */
function changed(document: unknown, path: readonly string[], change: Change): unknown {
  const [part, ...rest] = path;
  if (part === undefined) return change.whole();
  if (Array.isArray(document)) {
    if (rest.length === 0) return change.list(document, part);
    const index = indexIn(document, part, document.length - 1);
    return document.with(index, changed(document[index], rest, change));
  }
  if (!isFields(document)) throw absent(path);
  if (rest.length === 0) return change.fields(document, part);
  if (!(part in document)) throw absent(path);
  return { ...document, [part]: changed(document[part], rest, change) };
}

function indexIn(list: readonly unknown[], part: string, last: number): number {
  const index = /^(0|[1-9]\d*)$/.test(part) ? Number(part) : Number.NaN;
  if (index <= last) return index;
  throw unfitPatch(`there is no place ${part} in a list of ${list.length}`);
}

function absent(path: readonly string[]) {
  return unfitPatch(`nothing is at /${path.join("/")}`);
}
