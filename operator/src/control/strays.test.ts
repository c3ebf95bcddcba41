import { expect, test } from "vitest";
import { scriptedClient } from "../../test/scripted-client.ts";
import { accountingFinalizer, labels } from "../api/names.ts";
import { ObjectCache } from "../kubernetes/cache.ts";
import type { KubeObject, ObjectMeta } from "../kubernetes/kube-object.ts";
import { runKeyOf } from "./pod-owner.ts";
import { releaseStrays } from "./strays.ts";

const owner = { apiVersion: "v1", kind: "TrainingRun", name: "gone", uid: "u0", controller: true };
const carried = { [labels.run]: "gone", [labels.runUid]: "u0" };

/** What is asked for a pod of a run whose name nobody has, or the run of that uid. */
async function askedFor(metadata: Partial<ObjectMeta>, livingUid?: string): Promise<unknown[]> {
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
    if (method !== "GET") return { status: 200, body: pod };
    if (livingUid === undefined) return { status: 404, body: {} };
    return { status: 200, body: { metadata: { ...pod.metadata, name: "gone", uid: livingUid } } };
  });
  const keeper = { caches: { runs: new ObjectCache<KubeObject>(), pods: cached }, client, written: () => undefined };
  await releaseStrays("a/gone", keeper, { signal: new AbortController().signal });
  return asked;
}

const deletion = ["DELETE", { apiVersion: "v1", kind: "DeleteOptions", preconditions: { uid: "p1" } }];

test.each<[string, Partial<ObjectMeta>, unknown[]]>([
  ["is let go where its run owns it, and goes with the run", { ownerReferences: [owner] }, ["PATCH gone-1-0"]],
  ["is asked to stop first where nobody owns it", {}, [deletion, "PATCH gone-1-0"]],
  ["is asked once", { deletionTimestamp: "2026-01-01T00:00:00Z" }, ["PATCH gone-1-0"]],
])("a pod whose run is gone %s", async (_, metadata, expected) => {
  expect(await askedFor(metadata)).toEqual(["GET gone", ...expected]);
});

test("a pod is left alone whose run the server still has, and one that was let go", async () => {
  expect(await askedFor({}, "u0")).toEqual(["GET gone"]);
  expect(await askedFor({ finalizers: [] })).toEqual([]);
});
