import { unknownFieldsOf } from "@trainingrun/operator/kubernetes/unknown-fields.ts";
import { expect, test } from "vitest";
import { type Fields as SpecFields, specWith } from "../../../../operator/test/run-builder.ts";
import { editCases, schemaCases } from "../../../../operator/test/schema-cases.ts";
import { customKind, isAboutChange, RuleWithoutTwinError, rulesOf } from "./custom-kind.ts";
import { type Fields, fieldsOf, listOf } from "./object.ts";
import { runTwins } from "./run-kind.ts";
import { structural, UnknownSchemaError } from "./structural.ts";
import { definition, named, refusalOf, runs, servedApi, team } from "./test/served-api.ts";

const schema = fieldsOf(fieldsOf(fieldsOf(listOf(fieldsOf(definition.spec).versions)[0]).schema).openAPIV3Schema);
const rules = rulesOf(schema);
const place = { resource: runs, namespace: team };
const mergeType = "application/merge-patch+json";
const { api } = servedApi();

function manifest(name: string, spec: SpecFields) {
  return { apiVersion: "trainingrun.dev/v1alpha1", kind: "TrainingRun", metadata: { name }, spec: specWith(spec) };
}

/** The definition with another schema for the status. */
function withStatus({ spec, ...rest }: Fields, status: Fields): Fields {
  const [version, ...others] = listOf(fieldsOf(spec).versions).map(fieldsOf);
  const openAPIV3Schema = { ...schema, properties: { ...fieldsOf(schema.properties), status } };
  return { ...rest, spec: { ...fieldsOf(spec), versions: [{ ...version, schema: { openAPIV3Schema } }, ...others] } };
}

function wordsOf(act: () => unknown): string | null {
  try {
    act();
    return null;
  } catch {
    return refusalOf(act).message;
  }
}

const titled = schemaCases.map((each, index) => ({ ...each, name: each.name ?? `case-${index}` }));
const edits = editCases.map((each, index) => ({ ...each, name: `edit-${index}` }));

test.each(titled)("a run as in: $title", ({ name, spec, refusal }) => {
  const said = wordsOf(() => api.create(place, manifest(name, spec)));
  if (refusal === null) expect(said).toBeNull();
  else expect(said).toContain(refusal);
});

test.each(edits)("an edit as in: $title", ({ name, before, after, refusal }) => {
  const { object } = api.create(place, manifest(name, before));
  const edited = { ...object, spec: specWith(after) };
  const said = wordsOf(() => api.update(named(runs, name), edited));
  if (refusal === null) expect(said).toBeNull();
  else expect(said).toContain(refusal);
});

test("every rule of the definition is broken by one of these cases, so that none can lack its twin", () => {
  const refusals = [...schemaCases, ...editCases].flatMap(({ refusal }) => refusal ?? []);
  const untried = rules.filter(({ message }) => !refusals.some((refusal) => message.includes(refusal)));
  expect(untried.map(({ cel }) => cel)).toEqual([]);
});

test("a strict patch is refused whole where a definition of another version lacks its fields, and names them", () => {
  const status = fieldsOf(fieldsOf(schema.properties).status);
  const { stop: _, ...others } = fieldsOf(status.properties);
  const older = servedApi({ definition: withStatus(definition, { ...status, properties: others }) }).api;
  const run = named(runs, "strict");
  const { object } = older.create(place, manifest("strict", {}));
  const patch = { status: { attempt: 1, stop: { attempt: 1 }, odd: 'unknown field "status.attempt"' } };
  const refusal = refusalOf(() => older.patch({ ...run, subresource: "status" }, mergeType, patch, "Strict"));
  expect([refusal.code, refusal.reason]).toEqual([422, "Invalid"]);
  expect(refusal.about.causes?.map(({ field }) => field)).toEqual(["patch"]);
  expect(unknownFieldsOf(refusal.about.causes ?? [])).toEqual(["status.odd", "status.stop"]);
  expect(older.get(run).object).toBe(object);
  const whole = older.patch({ ...run, subresource: "status" }, mergeType, patch).object;
  expect(whole.status).toEqual({ attempt: 1 });
  expect(
    older.patch({ ...run, subresource: "status" }, mergeType, { status: { attempt: 2 } }, "Strict").object.status,
  ).toEqual({ attempt: 2 });
});

test("a definition with a rule about a change that nothing stands for is refused", () => {
  const about = rules.filter(isAboutChange);
  expect(about).toHaveLength(runTwins.changes.size);
  expect(() => customKind(definition, { ...runTwins, changes: new Map() })).toThrow(RuleWithoutTwinError);
});

test("a refusal names every field, each with its reason", () => {
  const spec = specWith({ workers: 0, suspend: "yes", checkpoint: undefined });
  const refusal = refusalOf(() => api.create(place, { ...manifest("bad", {}), spec }));
  expect(refusal.code).toBe(422);
  expect(refusal.about.causes?.map(({ field, reason }) => `${field} ${reason}`).sort()).toEqual([
    "<nil> FieldValueInvalid",
    "spec.checkpoint FieldValueRequired",
    "spec.suspend FieldValueTypeInvalid",
    "spec.workers FieldValueInvalid",
  ]);
  expect(refusal.message).toMatch(
    /^TrainingRun\.trainingrun\.dev "bad" is invalid: \[spec\.checkpoint: Required value, /,
  );
});

const shape: Fields = {
  type: "object",
  required: ["kept"],
  properties: {
    kept: { type: "string", maxLength: 3, minLength: 1, pattern: "^a", default: "abc" },
    inner: { type: "object", default: {}, properties: { count: { type: "integer", minimum: 1, default: 2 } } },
    loose: { type: "object", "x-kubernetes-preserve-unknown-fields": true, properties: { a: { type: "string" } } },
    labels: { type: "object", additionalProperties: { type: "string" } },
    list: { type: "array", minItems: 1, maxItems: 2, items: { type: "string", enum: ["x", "y"] } },
    size: { "x-kubernetes-int-or-string": true, anyOf: [{ type: "integer" }, { type: "string" }] },
    at: { type: "string", format: "date-time" },
  },
};

test.each<[string, unknown, unknown]>([
  ["fills defaults, also within defaults", {}, { kept: "abc", inner: { count: 2 } }],
  ["leaves out what is not known", { kept: "a", x: 1, inner: { y: 2 } }, { kept: "a", inner: { count: 2 } }],
  [
    "keeps what it is told to keep",
    { kept: "a", inner: { count: 1 }, loose: { b: { c: null } }, labels: { d: "e" } },
    { kept: "a", inner: { count: 1 }, loose: { b: { c: null } }, labels: { d: "e" } },
  ],
  ["takes null for absent", { kept: null, inner: null, at: null }, { kept: "abc", inner: { count: 2 } }],
])("a structural schema %s", (_, value, expected) => {
  expect(structural(shape).completed(value)).toEqual(expected);
});

test.each<[unknown, readonly string[]]>([
  [{ kept: "a", inner: { count: 2 }, loose: { b: { c: null } }, labels: { d: "e" }, list: ["x"] }, []],
  [{ x: { y: 1 }, inner: { z: null, a: 1 } }, ["inner.a", "inner.z", "x"]],
  [{ rows: [{ known: 1 }, { known: 1, other: 2 }], kept: null }, ["rows[1].other"]],
])("of %j a structural schema does not know %j", (value, expected) => {
  const rows = { type: "array", items: { type: "object", properties: { known: { type: "integer" } } } };
  expect(structural({ ...shape, properties: { ...fieldsOf(shape.properties), rows } }).unknown(value)).toEqual(
    expected,
  );
});

test("a structural schema shares what it leaves as it is", () => {
  const value = { kept: "a", inner: { count: 1 }, list: ["x"] };
  expect(structural(shape).completed(value)).toBe(value);
});

test.each<[string, object, string[]]>([
  ["what is missing", { kept: undefined }, ["kept FieldValueRequired"]],
  ["a text that is too long", { kept: "abcd" }, ["kept FieldValueTooLong"]],
  ["a text of another pattern", { kept: "b" }, ["kept FieldValueInvalid"]],
  ["a number that is too small", { inner: { count: 0 } }, ["inner.count FieldValueInvalid"]],
  ["a fraction", { inner: { count: 1.5 } }, ["inner.count FieldValueTypeInvalid"]],
  ["a word of no list", { list: ["x", "z"] }, ["list[1] FieldValueNotSupported"]],
  ["too many", { list: ["x", "x", "x"] }, ["list FieldValueTooMany"]],
  ["too few", { list: [] }, ["list FieldValueInvalid"]],
  ["another type in a map", { labels: { a: 1 } }, ["labels.a FieldValueTypeInvalid"]],
  ["a size that is no number and no text", { size: true }, ["size FieldValueTypeInvalid"]],
  ["a day that is no instant", { at: "2026-01-05" }, ["at FieldValueTypeInvalid"]],
  ["nothing", { kept: "abc", size: 5, at: "2026-01-05T00:00:00.5+01:00" }, []],
])("a structural schema finds %s", (_, fields, expected) => {
  const found = structural(shape).problems({ kept: "a", ...fields }, "");
  expect(found.map(({ field, reason }) => `${field} ${reason}`)).toEqual(expected);
});

test("a schema with a word that is not acted on is refused", () => {
  expect(() => structural({ type: "object", properties: { a: { type: "string", multipleOf: 2 } } })).toThrow(
    UnknownSchemaError,
  );
});
