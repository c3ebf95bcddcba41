import { describe, expect, test } from "vitest";
import { ended, podWith, rawPod, running } from "../../test/pod-builder.ts";
import { start, storedRun } from "../../test/run-builder.ts";
import { readDeletedRun } from "../api/deleted-run.ts";
import { decide } from "../core/decide.ts";
import type { ObservedPod } from "../core/observed.ts";

const settings = { agentImage: "agent:1", agentImagePullPolicy: "IfNotPresent", agentResources: {} } as const;
const entry = { number: 1, generation: 1, pods: [{ uid: "pod-1" }], startTime: "2026-01-01T00:00:00Z" };
const stop = { attempt: 1, cause: "RunDeleted", time: "2026-01-01T00:10:01Z" };
const alive = podWith({
  status: { containerStatuses: [running("trainer")], initContainerStatuses: [running("agent")] },
});
const over = podWith({
  metadata: { deletionTimestamp: "2026-01-01T00:10:32Z", deletionGracePeriodSeconds: 30 },
  status: { phase: "Failed", containerStatuses: [ended("trainer", 143)], initContainerStatuses: [ended("agent", 0)] },
});
const deletePod = { kind: "DeletePod", name: "mnist-1-0", uid: "pod-1" };
const releasePod = {
  kind: "ReleasePod",
  name: "mnist-1-0",
  uid: "pod-1",
  resourceVersion: "7",
  finalizers: (rawPod().metadata as { finalizers: string[] }).finalizers,
};

/** What is decided, so many seconds after its deletion, of a run that another version wrote. */
function decided(pod: ObservedPod, stored: { spec?: object; status?: object }, seconds: number) {
  const deleted = readDeletedRun(
    storedRun({
      metadata: { deletionTimestamp: "2026-01-01T00:10:00Z", finalizers: ["trainingrun.dev/final-save"] },
      spec: { deletionPolicy: "Delete", ...stored.spec },
      status: { attempt: 1, attempts: [entry], stop, ...stored.status },
    }),
  );
  if (deleted === null) throw new Error("The run of the test is not being deleted");
  const now = start + 600_000 + seconds * 1000;
  const seen = { gone: [], nodes: [], volume: { kind: "None" }, removal: null, reports: [], refusals: [] } as const;
  const { actions, status, events } = decide({ now, run: deleted.run, pods: [pod], ...seen }, settings);
  return { actions, cause: status.attempts?.[0]?.cause, told: events.map(({ reason }) => reason) };
}

describe("a deleted run that another version wrote", () => {
  const rows = [
    ["spec", { spec: { workers: "many" } }, "RunDeleted"],
    ["status", { status: { attempt: "one" } }, undefined],
  ] as const;

  test.each(rows)("has its pod asked to save and stop where its %s is unreadable", (_, stored) => {
    expect(decided(alive, stored, 1)).toMatchObject({ actions: [deletePod], told: [] });
  });

  test.each(rows)("goes once its pod has ended where its %s is unreadable, and its data stays", (_, stored, cause) => {
    const { actions, cause: counted } = decided(over, stored, 20);
    expect(actions).toEqual([releasePod, { kind: "ReleaseRun" }]);
    expect(counted).toBe(cause);
  });

  test.each(rows)("is let go in time where its %s is unreadable and its pod is silent", (_, stored) => {
    const { actions, told } = decided(alive, stored, 91);
    expect(actions).toEqual([deletePod, releasePod, { kind: "ReleaseRun" }]);
    expect(told).toContain("PodsAbandoned");
  });
});
