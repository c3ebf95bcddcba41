import { expect, test } from "vitest";
import { jsonPatched, mergePatched } from "./patch.ts";

test.each<[string, unknown, unknown, unknown]>([
  ["changes a field", { a: 1, b: 2 }, { a: 3 }, { a: 3, b: 2 }],
  ["takes a field away", { a: 1, b: 2 }, { a: null }, { b: 2 }],
  ["goes down into fields", { a: { b: 1, c: 2 } }, { a: { b: null, d: 3 } }, { a: { c: 2, d: 3 } }],
  ["makes the way to a new field, without its nulls", {}, { a: { b: { c: 1, d: null } } }, { a: { b: { c: 1 } } }],
  ["replaces a list whole", { a: [1, 2, 3] }, { a: [4] }, { a: [4] }],
  ["puts fields in the place of a text", { a: "x" }, { a: { b: 1 } }, { a: { b: 1 } }],
  ["keeps nulls within lists", {}, { a: [null] }, { a: [null] }],
])("a merge patch %s", (_, target, patch, expected) => {
  const before = structuredClone(target);
  expect(mergePatched(target, patch)).toEqual(expected);
  expect(target).toEqual(before);
});

test("a merge patch shares what it does not change", () => {
  const target = { spec: { a: 1 }, status: {} };
  expect(mergePatched(target, { status: { b: 1 } })).toHaveProperty("spec", target.spec);
  expect((mergePatched(target, { status: { b: 1 } }) as typeof target).spec).toBe(target.spec);
});

const document = { metadata: { uid: "u", finalizers: ["a/b", "c", "d"] }, "x/y": { "~": 1 } };

test.each<[string, object[], unknown]>([
  [
    "tests, and removes from a list",
    [
      { op: "test", path: "/metadata/finalizers/1", value: "c" },
      { op: "remove", path: "/metadata/finalizers/1" },
    ],
    { ...document, metadata: { uid: "u", finalizers: ["a/b", "d"] } },
  ],
  [
    "adds within and at the end of a list",
    [
      { op: "add", path: "/metadata/finalizers/0", value: "z" },
      { op: "add", path: "/metadata/finalizers/-", value: "e" },
    ],
    { ...document, metadata: { uid: "u", finalizers: ["z", "a/b", "c", "d", "e"] } },
  ],
  [
    "replaces and moves",
    [
      { op: "replace", path: "/metadata/uid", value: "v" },
      { op: "move", from: "/metadata/finalizers", path: "/f" },
    ],
    { "x/y": { "~": 1 }, metadata: { uid: "v" }, f: ["a/b", "c", "d"] },
  ],
  ["reads escaped names", [{ op: "remove", path: "/x~1y/~0" }], { ...document, "x/y": {} }],
  [
    "tests whole values",
    [{ op: "test", path: "/metadata", value: { finalizers: ["a/b", "c", "d"], uid: "u" } }],
    document,
  ],
])("a JSON patch %s", (_, operations, expected) => {
  const before = structuredClone(document);
  expect(jsonPatched(document, operations)).toEqual(expected);
  expect(document).toEqual(before);
});

test.each<[string, unknown[]]>([
  ["whose test fails", [{ op: "test", path: "/metadata/uid", value: "other" }]],
  ["that tests what is not there", [{ op: "test", path: "/metadata/labels/a", value: "1" }]],
  ["that removes what is not there", [{ op: "remove", path: "/metadata/finalizers/3" }]],
  ["that replaces what is not there", [{ op: "replace", path: "/metadata/name", value: "x" }]],
  ["that adds below what is not there", [{ op: "add", path: "/spec/a", value: 1 }]],
  ["of an unknown operation", [{ op: "increment", path: "/metadata/uid" }]],
  ["of a relative path", [{ op: "remove", path: "metadata" }]],
])("refuses a JSON patch %s, and names no field", (_, operations) => {
  expect(() => jsonPatched(document, operations)).toThrow(expect.objectContaining({ code: 422, reason: "Invalid" }));
  expect(() => jsonPatched(document, operations)).not.toThrow(/is invalid:/);
});

test("refuses what is no list of operations", () => {
  expect(() => jsonPatched(document, { op: "remove" })).toThrow(expect.objectContaining({ code: 400 }));
});
