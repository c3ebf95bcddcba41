import { expect, test } from "vitest";
import { rawPod } from "../../test/pod-builder.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { judgeMissing } from "./observe.ts";

const pod = (fields: Parameters<typeof rawPod>[0] = {}) => rawPod(fields) as unknown as KubeObject;

test("a recorded pod that the copy lacks and the server shows is seen", () => {
  expect(judgeMissing(pod(), "pod-1")).toMatchObject({ uid: "pod-1", attempt: 1 });
});

test.each([
  ["the server does not have it", undefined],
  ["another pod has its name", pod({ metadata: { uid: "pod-2" } })],
])("a recorded pod is gone where %s", (_title, raw) => {
  expect(judgeMissing(raw, "pod-1")).toBe("Gone");
});

test("a recorded pod whose labels were taken away is not gone: no other may train beside it", () => {
  expect(judgeMissing(pod({ metadata: { labels: {} } }), "pod-1")).toBe("Unreadable");
});
