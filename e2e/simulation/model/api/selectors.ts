import { badRequest } from "./answers.ts";
import { fieldsOf, type StoredObject } from "./object.ts";

/** Whether an object is among those that are asked for. */
export type Selector = (object: StoredObject) => boolean;

/** Reads a label selector: `a=b`, `a!=b`, `a in (b,c)`, `a notin (b)`, `a`, `!a`, all joined by commas. */
export function labelSelector(text: string): Selector {
  const terms = text.split(/,(?![^(]*\))/).map((term) => labelTerm(term.trim()));
  return ({ metadata: { labels = {} } }) => terms.every((holds) => holds(labels));
}

/** Reads a field selector over the fields that the kind lets itself be selected by. */
export function fieldSelector(text: string, selectable: readonly string[]): Selector {
  const terms = text.split(",").map((term) => fieldTerm(term.trim(), selectable));
  return (object) => terms.every((holds) => holds(object));
}

type Labels = Readonly<Record<string, string>>;

function labelTerm(term: string): (labels: Labels) => boolean {
  const set = /^([^\s!=,()]+)\s+(in|notin)\s*\(([^()]*)\)$/.exec(term);
  if (set !== null) {
    const [, key = "", verb, list = ""] = set;
    const values = list.split(",").map((value) => value.trim());
    const isIn = (labels: Labels) => labels[key] !== undefined && values.includes(labels[key]);
    return verb === "in" ? isIn : (labels) => !isIn(labels);
  }
  const [, not, key = "", compare, value] = /^(!?)\s*([^\s!=,()]+)\s*(?:(==?|!=)\s*([^\s=!,()]*))?$/.exec(term) ?? [];
  if (key === "" || (not === "!" && compare !== undefined)) {
    throw badRequest(`unable to parse requirement: ${JSON.stringify(term)}`);
  }
  if (compare === "!=") return (labels) => labels[key] !== value;
  if (compare !== undefined) return (labels) => labels[key] === value;
  return not === "!" ? (labels) => labels[key] === undefined : (labels) => labels[key] !== undefined;
}

function fieldTerm(term: string, selectable: readonly string[]): Selector {
  const [, path = "", compare, value] = /^([^=!]+)(==?|!=)(.*)$/.exec(term) ?? [];
  if (path === "") throw badRequest(`invalid selector: ${JSON.stringify(term)}; can't understand it`);
  if (!selectable.includes(path)) throw badRequest(`field label not supported: ${path}`);
  const parts = path.split(".");
  const read = (object: StoredObject) => String(parts.reduce<unknown>((at, part) => fieldsOf(at)[part], object) ?? "");
  return compare === "!=" ? (object) => read(object) !== value : (object) => read(object) === value;
}
