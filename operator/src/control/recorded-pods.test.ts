import { expect, test } from "vitest";
import { rawPod } from "../../test/pod-builder.ts";
import { runUid, runWith } from "../../test/run-builder.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { judgeRecorded } from "./recorded-pods.ts";

const labels = {
  "trainingrun.dev/run": "mnist",
  "trainingrun.dev/run-uid": runUid,
  "trainingrun.dev/attempt": "1",
  "trainingrun.dev/worker": "0",
};
const pod = (metadata: Parameters<typeof rawPod>[0] = {}) => rawPod(metadata) as unknown as KubeObject;
const judge = (raw: KubeObject | undefined) => judgeRecorded(raw, runWith(), { uid: "pod-1", attempt: 1, worker: 0 });

test("a recorded pod that stands is what the ledger says", () => {
  expect(judge(pod({ metadata: { labels } }))).toMatchObject({ uid: "pod-1", attempt: 1, altered: [] });
});

test.each([
  ["the server does not have it", undefined],
  ["another pod has its name", pod({ metadata: { uid: "pod-2" } })],
])("a recorded pod is gone where %s", (_title, raw) => {
  expect(judge(raw)).toBe("Gone");
});

test.each([
  ["has no labels any more", { labels: {} }, Object.keys(labels)],
  [
    "says that it is of another attempt",
    { labels: { ...labels, "trainingrun.dev/attempt": "7" } },
    ["trainingrun.dev/attempt"],
  ],
  ["is owned by nobody", { labels, ownerReferences: [] }, ["ownerReferences"]],
  ["is owned by another", { labels, ownerReferences: [{ uid: "other", controller: true }] }, ["ownerReferences"]],
])("a recorded pod that %s is that pod all the same, and what was changed is known", (_title, metadata, altered) => {
  expect(judge(pod({ metadata }))).toMatchObject({ uid: "pod-1", attempt: 1, worker: 0, altered });
});

test("a recorded pod that cannot be read is not gone: no other may train beside it", () => {
  expect(judge(pod({ spec: { containers: [] } }))).toBe("Unreadable");
});
