import { expect, test } from "vitest";
import { writerOf } from "./write-log.ts";

const line = (username: string, userAgent: string, objectRef: unknown) =>
  JSON.stringify({ user: { username }, userAgent, objectRef });
const pod = { namespace: "scale", resource: "pods" };

test.each([
  [
    "a controller by its account",
    "system:serviceaccount:kube-system:job-controller",
    "kube-controller-manager/v1",
    pod,
    "job-controller",
  ],
  ["the scheduler by its user", "system:kube-scheduler", "kube-scheduler/v1", pod, "kube-scheduler"],
  ["an administrator's program by its own name", "admin", "trainingrun-operator", pod, "trainingrun-operator"],
  ["events apart", "admin", "trainingrun-operator", { ...pod, resource: "events" }, "trainingrun-operator, events"],
  ["nothing of other namespaces", "admin", "x", { ...pod, namespace: "default" }, undefined],
  ["nothing of the whole cluster", "admin", "x", { resource: "nodes" }, undefined],
])("counts %s", (_what, username, userAgent, objectRef, expected) => {
  expect(writerOf(line(username, userAgent, objectRef), "scale")).toBe(expected);
});
