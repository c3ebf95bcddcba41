import { z } from "zod";
import { validationsKey } from "../rule.ts";

/** A node of a structural OpenAPI v3 schema, as a CustomResourceDefinition carries it. */
export type Structural = { [keyword: string]: unknown };

const intOrString = "x-kubernetes-int-or-string";
const preserve = "x-kubernetes-preserve-unknown-fields";

/** Keywords that mean the same in both dialects. */
const carried = [
  "description",
  "type",
  "enum",
  "default",
  "minLength",
  "maxLength",
  "minItems",
  "maxItems",
  "minProperties",
  "maxProperties",
  "required",
  validationsKey,
  "x-kubernetes-list-type",
  "x-kubernetes-list-map-keys",
];

/** The structural schema of a zod schema. Throws on what no CRD can say, naming the place. */
export function structuralSchema(schema: z.ZodType): Structural {
  return convert(z.toJSONSchema(schema, { io: "input", reused: "inline", unrepresentable: "throw" }), "");
}

function convert(json: unknown, at: string): Structural {
  const node = objectAt(json, at);
  if (node[intOrString] === true) return integerOrString(node);
  if (Array.isArray(node.anyOf)) return fromAlternatives(node, node.anyOf, at);
  const structural: Structural = {};
  for (const keyword of carried) if (node[keyword] !== undefined) structural[keyword] = node[keyword];
  if (node.const !== undefined) structural.enum = [node.const];
  if (node.type === "integer") addBounds(structural, node);
  if (node.type === "string") addText(structural, node);
  if (node.prefixItems !== undefined) addTuple(structural, node.prefixItems, at);
  else if (node.items !== undefined) structural.items = convert(node.items, `${at}[]`);
  if (node.type === "object") addFields(structural, node, at);
  return structural;
}

/** zod bounds integers by what JavaScript holds; only bounds that were asked for are worth saying. */
function addBounds(structural: Structural, node: Structural): void {
  structural.format = "int64";
  if (node.minimum !== Number.MIN_SAFE_INTEGER && node.minimum !== undefined) structural.minimum = node.minimum;
  if (node.maximum !== Number.MAX_SAFE_INTEGER && node.maximum !== undefined) structural.maximum = node.maximum;
}

function addText(structural: Structural, node: Structural): void {
  if (node.format === "date-time") structural.format = "date-time";
  else if (node.pattern !== undefined) structural.pattern = node.pattern;
}

function addFields(structural: Structural, node: Structural, at: string): void {
  if (node.properties !== undefined) {
    structural.properties = Object.fromEntries(
      Object.entries(objectAt(node.properties, at)).map(([name, field]) => [name, convert(field, `${at}.${name}`)]),
    );
  }
  const rest = node.additionalProperties;
  if (rest === undefined || rest === false) return;
  const values = objectAt(rest, at);
  if (Object.keys(values).length === 0) structural[preserve] = true;
  else structural.additionalProperties = convert(values, `${at}{}`);
}

/** A tuple is a list of fixed length whose items are integers or strings: no CRD can say more. */
function addTuple(structural: Structural, items: unknown, at: string): void {
  if (!Array.isArray(items)) throw new Error(`Cannot generate the CRD because ${at} is an odd tuple`);
  structural.minItems = items.length;
  structural.maxItems = items.length;
  structural.items = integerOrString({});
}

function fromAlternatives(node: Structural, alternatives: unknown[], at: string): Structural {
  const real = alternatives.filter((alternative) => objectAt(alternative, at).type !== "null");
  if (real.length !== 1) throw new Error(`Cannot generate the CRD because ${at} has ${real.length} alternatives`);
  const structural = convert(real[0], at);
  return { ...structural, ...(node.description ? { description: node.description } : {}), nullable: true };
}

function integerOrString({ description }: Structural): Structural {
  return {
    ...(description ? { description } : {}),
    anyOf: [{ type: "integer" }, { type: "string" }],
    [intOrString]: true,
  };
}

function objectAt(json: unknown, at: string): Structural {
  if (typeof json !== "object" || json === null) {
    throw new Error(`Cannot generate the CRD because ${at || "the root"} is no schema: ${JSON.stringify(json)}`);
  }
  return { ...json };
}
