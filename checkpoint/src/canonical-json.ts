/** A value that has no canonical JSON; `message` names the path to it. */
export class CanonicalJsonError extends Error {
  override readonly name = "CanonicalJsonError";
}

const maxDepth = 32;

/**
 * The one text of a JSON value, as RFC 8785 defines it: members sorted by UTF-16 code units, no white space,
 * numbers and strings as ECMAScript writes them. Refuses what has no such text (NaN, undefined, functions,
 * class instances, lone surrogates) and the member name `__proto__`.
 */
export function canonicalJson(value: unknown): string {
  return write(value, "$", 0);
}

function write(value: unknown, path: string, depth: number): string {
  if (depth > maxDepth) return refuse(path, `values may nest ${maxDepth} deep`);
  switch (typeof value) {
    case "boolean":
      return String(value);
    case "number":
      return Number.isFinite(value) ? JSON.stringify(value) : refuse(path, `a number must be finite: ${value}`);
    case "string":
      return writeString(value, path);
    case "object":
      return value === null ? "null" : writeObject(value, path, depth);
    default:
      return refuse(path, `JSON has no ${typeof value}`);
  }
}

function writeString(value: string, path: string): string {
  return value.isWellFormed() ? JSON.stringify(value) : refuse(path, "a string must be well-formed Unicode");
}

function writeObject(value: object, path: string, depth: number): string {
  if (Array.isArray(value)) {
    // Array.from makes holes visible as undefined, which is refused.
    const items = Array.from(value, (item: unknown, index) => write(item, `${path}[${index}]`, depth + 1));
    return `[${items.join(",")}]`;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return refuse(path, "only plain objects have JSON");
  const members = Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]: [string, unknown]) => {
      if (name === "__proto__") return refuse(path, "no member may be named __proto__");
      return `${writeString(name, path)}:${write(member, `${path}.${name}`, depth + 1)}`;
    });
  return `{${members.join(",")}}`;
}

function refuse(path: string, rule: string): never {
  throw new CanonicalJsonError(`Cannot write canonical JSON because ${rule} (at ${path.slice(0, 200)})`);
}
