import { describe, expect, test } from "vitest";
import { at } from "../../test/pod-builder.ts";
import { storedRun } from "../../test/run-builder.ts";
import { scriptedClient } from "../../test/scripted-client.ts";
import { accountingFinalizer, labels } from "../api/names.ts";
import { ObjectCache } from "../kubernetes/cache.ts";
import type { KubeObject, ObjectMeta } from "../kubernetes/kube-object.ts";
import { runKeyOf } from "./pod-owner.ts";
import { releaseStrays } from "./strays.ts";

const owner = { apiVersion: "v1", kind: "TrainingRun", name: "gone", uid: "u0", controller: true };
const carried = { [labels.run]: "gone", [labels.runUid]: "u0" };

/** What is asked for a pod of a run whose name nobody has, or the run of that uid. */
async function askedFor(metadata: Partial<ObjectMeta>, living?: unknown, deletes = 200): Promise<unknown[]> {
  const pod: KubeObject = {
    metadata: {
      name: "gone-1-0",
      namespace: "a",
      uid: "p1",
      resourceVersion: "3",
      labels: carried,
      finalizers: ["example.com/theirs", accountingFinalizer],
      ...metadata,
    },
  };
  const cached = new ObjectCache<KubeObject>({ run: (each) => [runKeyOf(each) ?? ""] });
  cached.put(pod);
  const asked: unknown[] = [];
  const client = scriptedClient(({ method, path, body }) => {
    asked.push(method === "DELETE" ? [method, body] : `${method} ${path.split("/").at(-1)}`);
    if (path.includes("/pods/")) return { status: method === "DELETE" ? deletes : 200, body: pod };
    return living === undefined ? { status: 404, body: {} } : { status: 200, body: living };
  });
  const keeper = { caches: { runs: new ObjectCache<KubeObject>(), pods: cached }, client, written: () => undefined };
  await releaseStrays("a/gone", keeper, { signal: new AbortController().signal });
  return asked;
}

const deletion = [
  "DELETE",
  { apiVersion: "v1", kind: "DeleteOptions", preconditions: { uid: "p1", resourceVersion: "3" } },
];

test.each<[string, Partial<ObjectMeta>, unknown[]]>([
  ["is let go where its run owns it, and goes with the run", { ownerReferences: [owner] }, ["PATCH gone-1-0"]],
  ["is asked to stop first where nobody owns it, as it was seen", {}, [deletion, "PATCH gone-1-0"]],
  ["is asked once", { deletionTimestamp: "2026-01-01T00:00:00Z" }, ["PATCH gone-1-0"]],
])("a pod whose run is gone %s", async (_, metadata, expected) => {
  expect(await askedFor(metadata)).toEqual(["GET gone", ...expected]);
});

test("a pod that has changed since it was seen is left to the pass that sees that", async () => {
  expect(await askedFor({}, undefined, 409)).toEqual(["GET gone", deletion, "GET gone-1-0"]);
});

test("a pod is left alone whose run the server still has, and one that was let go", async () => {
  expect(await askedFor({}, { metadata: { name: "gone", uid: "u0" } })).toEqual(["GET gone"]);
  expect(await askedFor({ finalizers: [] })).toEqual([]);
});

describe("a pod whose labels say that it is another run's than the one that lives", () => {
  const past = { number: 1, generation: 1, pods: [{ uid: "p0" }], startTime: at(0), endTime: at(1) };
  const runOf = (recorded: string, ended: object = {}) => {
    const attempts = [{ number: 2, generation: 1, pods: [{ uid: recorded }], startTime: at(2), ...ended }, past];
    return { ...storedRun({ metadata: { name: "gone" } }), status: { attempt: 2, attempts } };
  };
  const unowned = [deletion, "PATCH gone-1-0"];

  test.each<[string, Partial<ObjectMeta>, unknown, unknown[]]>([
    ["is left alone where it is on record of that one, though nobody owns it", {}, runOf("p1"), []],
    ["is left alone on record although somebody else owns it", { ownerReferences: [owner] }, runOf("p1"), []],
    ["is let go where that one has another on record", {}, runOf("p9"), unowned],
    ["is let go where its attempt is over", {}, runOf("p1", { endTime: at(3) }), unowned],
    ["may be on record of one that cannot be read", {}, { ...runOf("p9"), spec: 7 }, []],
    [
      "is not that of one that cannot be read where a gone one owns it",
      { ownerReferences: [owner] },
      { ...runOf("p9"), spec: 7 },
      ["PATCH gone-1-0"],
    ],
  ])("%s", async (_, metadata, living, expected) => {
    expect(await askedFor(metadata, living)).toEqual(["GET gone", ...expected]);
  });
});
