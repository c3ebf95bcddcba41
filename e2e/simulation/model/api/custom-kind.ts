import type { Resource } from "@trainingrun/operator/kubernetes/resource.ts";
import type { Cause } from "./answers.ts";
import { everySelectable, type Kind, type Part } from "./kind.ts";
import { type Fields, fieldsOf, isFields, isSame, listOf, type StoredObject } from "./object.ts";
import { structural } from "./structural.ts";

/** A rule of a definition, in CEL, and where in the object it holds. */
export type SchemaRule = Readonly<{ path: readonly string[]; cel: string; message: string }>;

/** What the rules of a definition mean, in code: CEL itself is not interpreted. */
export type RuleTwins = Readonly<{
  /** Which of the definition's rules about one object it breaks: the rule's words, and the path where. */
  broken: (object: StoredObject) => readonly Readonly<{ message: string; path: readonly PropertyKey[] }>[];
  /** The rules about a change, by their CEL: true where the change is good. */
  changes: ReadonlyMap<string, (now: Fields, before: Fields) => boolean>;
}>;

/** A rule of the definition that nothing here stands for: the model would take what the server refuses. */
export class RuleWithoutTwinError extends Error {
  override readonly name = "RuleWithoutTwinError";
}

/** The kind that a CustomResourceDefinition defines, in its first version. */
export function customKind(definition: Fields, twins: RuleTwins): Kind {
  const { group, names, scope, versions } = fieldsOf(definition.spec);
  const version = fieldsOf(listOf(versions)[0]);
  const schema = fieldsOf(fieldsOf(version.schema).openAPIV3Schema);
  const whole = structural(schema);
  const ofStatus = structural(fieldsOf(fieldsOf(schema.properties).status));
  const rules = rulesOf(schema);
  const said = new Set(rules.map(({ message }) => message));
  const changes = rules.filter(isAboutChange).map((rule) => ({ ...rule, holds: twinOf(rule, twins) }));
  const resource: Resource = {
    group: String(group),
    version: String(version.name),
    plural: String(fieldsOf(names).plural),
    kind: String(fieldsOf(names).kind),
    scope: scope === "Cluster" ? "Cluster" : "Namespaced",
  };
  const ruleProblems = (object: StoredObject, before: StoredObject | undefined): readonly Cause[] => [
    ...twins
      .broken(object)
      .filter(({ message }) => said.has(message))
      .map(({ message, path }) => cause(pathText(path), message)),
    ...changes.flatMap(({ path, message, holds }) => {
      const [now, then] = [object, before].map((each) => path.reduce<unknown>((at, part) => fieldsOf(at)[part], each));
      return !isFields(now) || !isFields(then) || holds(now, then) ? [] : [cause(pathText(path), message)];
    }),
  ];
  const schemaProblems = (object: StoredObject, part: Part) =>
    part === "whole"
      ? whole.problems(withoutIdentity(object), "")
      : object.status === undefined
        ? []
        : ofStatus.problems(object.status, "status");
  return {
    resource,
    isCustom: true,
    hasStatus: isFields(fieldsOf(version.subresources).status),
    countsGenerations: true,
    takesBlindUpdates: false,
    madeByUpdates: false,
    showsDeleted: false,
    endsGracefully: false,
    isCollected: true,
    selectable: everySelectable,
    decoded: (object) => {
      const completed = fieldsOf(whole.completed(withoutIdentity(object)));
      return { ...completed, apiVersion: object.apiVersion, kind: object.kind, metadata: object.metadata };
    },
    unknown: ({ apiVersion: _, kind: __, metadata: ___, ...rest }) => whole.unknown(rest),
    made: ({ status: _, ...object }) => object,
    problems: (object, before, part) => {
      const found = schemaProblems(object, part);
      if (found.some(({ reason }) => blocking.has(reason))) return [...found, unchecked];
      const isAsBefore = part === "status" || (before !== undefined && isSame(object.spec, before.spec));
      return isAsBefore ? found : [...found, ...ruleProblems(object, before)];
    },
  };
}

/** Every rule of a schema, with its path. */
export function rulesOf(schema: Fields, path: readonly string[] = []): readonly SchemaRule[] {
  const own = listOf(schema["x-kubernetes-validations"]).map((given) => {
    const { rule, message } = fieldsOf(given);
    return { path, cel: String(rule), message: String(message) };
  });
  const below = Object.entries(fieldsOf(schema.properties)).map(([name, part]) => [name, part] as const);
  const all = [...below, ["[]", schema.items] as const, ["*", schema.additionalProperties] as const];
  return [...own, ...all.flatMap(([name, part]) => (isFields(part) ? rulesOf(part, [...path, name]) : []))];
}

/** Whether the rule compares an object with what it was. */
export function isAboutChange({ cel }: SchemaRule): boolean {
  return cel.includes("oldSelf");
}

const blocking = new Set([
  "FieldValueRequired",
  "FieldValueNotSupported",
  "FieldValueTooLong",
  "FieldValueTooMany",
  "FieldValueTypeInvalid",
]);

const unchecked: Cause = {
  reason: "FieldValueInvalid",
  field: "<nil>",
  message: "Invalid value: null: some validation rules were not checked because the object was invalid",
};

function twinOf(rule: SchemaRule, twins: RuleTwins): (now: Fields, before: Fields) => boolean {
  const twin = twins.changes.get(rule.cel);
  if (twin !== undefined) return twin;
  throw new RuleWithoutTwinError(
    `Cannot model the rule at ${pathText(rule.path)} because nothing stands for it: ${rule.cel}`,
  );
}

function withoutIdentity({ apiVersion: _, kind: __, metadata: ___, ...rest }: StoredObject): Fields {
  return rest;
}

function cause(field: string, message: string): Cause {
  return { reason: "FieldValueInvalid", field, message: `Invalid value: "object": ${message}` };
}

function pathText(path: readonly PropertyKey[]): string {
  if (path.length === 0) return "<nil>";
  return path
    .map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`))
    .join("")
    .slice(1);
}
