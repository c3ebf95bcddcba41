import { expect, test } from "vitest";
import type { StoredObject } from "./object.ts";
import { fieldSelector, labelSelector } from "./selectors.ts";

function pod(labels: Record<string, string>, fields: object = {}): StoredObject {
  const metadata = { name: "p", namespace: "n", uid: "u", resourceVersion: "1", labels };
  return { apiVersion: "v1", kind: "Pod", metadata, ...fields };
}

test.each<[string, Record<string, string>, boolean]>([
  ["a=1", { a: "1" }, true],
  ["a==1", { a: "2" }, false],
  ["a=", { a: "" }, true],
  ["a!=1", {}, true],
  ["a!=1", { a: "1" }, false],
  ["a", { a: "x" }, true],
  ["!a", { a: "x" }, false],
  ["!a", {}, true],
  ["a in (1, 2)", { a: "2" }, true],
  ["a in (1,2),b", { a: "2" }, false],
  ["a notin (1,2)", {}, true],
  ["a notin (1,2)", { a: "1" }, false],
  ["example.com/run=x,b=2", { "example.com/run": "x", b: "2" }, true],
])("the labels %s select %j: %s", (selector, labels, expected) => {
  expect(labelSelector(selector)(pod(labels))).toBe(expected);
});

test.each<[string, object, boolean]>([
  ["metadata.name=p", {}, true],
  ["metadata.name!=p", {}, false],
  ["spec.nodeName=", {}, true],
  ["spec.nodeName=a,metadata.namespace=n", { spec: { nodeName: "a" } }, true],
  ["spec.nodeName=a", { spec: { nodeName: "b" } }, false],
])("the fields %s select %j: %s", (selector, fields, expected) => {
  const selectable = ["metadata.name", "metadata.namespace", "spec.nodeName"];
  expect(fieldSelector(selector, selectable)(pod({}, fields))).toBe(expected);
});

test.each(["a=1=2", "a in 1", "=1", "!a=1"])("refuses the labels %s", (selector) => {
  expect(() => labelSelector(selector)).toThrow(expect.objectContaining({ code: 400 }));
});

test("refuses a field that the kind cannot be selected by", () => {
  expect(() => fieldSelector("spec.priority=1", ["metadata.name"])).toThrow("field label not supported: spec.priority");
});
