import { describe, expect, test } from "vitest";
import { nodeWith } from "../../test/ended-pods.ts";
import { boundClaim, condition, decideOn, kinds, living, observedWith } from "../../test/observed-builder.ts";
import { at, ended, podWith, running } from "../../test/pod-builder.ts";
import { answer } from "../../test/records.ts";
import { type Fields, start } from "../../test/run-builder.ts";
import type { TrainingRunStatus } from "../api/status.ts";
import type { Observed, ObservedNode } from "./observed.ts";

/* nodeLost: Fence, one observation at a time. The pod of attempt 1 trains on node-a; a minute has gone by. */

const now = start + 60_000;
const silent = nodeWith({ ready: "Unknown", readySince: start - 86_400_000 });
const shared = { ...boundClaim, accessModes: ["ReadWriteMany"] };
const training = podWith({
  status: { phase: "Running", containerStatuses: [running("trainer")], initContainerStatuses: [running("agent")] },
});
const volume = { claimTemplate: { accessModes: ["ReadWriteMany"], resources: { requests: { storage: "1Gi" } } } };
const objectStore = { endpoint: "https://s3.example.com", bucket: "checkpoints", credentialsSecretName: "s3" };
const fence = { nodeLost: { policy: "Fence", afterSeconds: 60 }, checkpoint: { volume } };
const advanced = { lastStep: 70, opened: true, firstStepTime: at(10) };

type Scene = Readonly<{ spec?: Fields; status?: Fields; entry?: Fields; metadata?: Fields }>;

const fencingRun = ({ spec, status, entry, metadata }: Scene = {}) =>
  living({
    spec: { ...fence, ...spec },
    entry: { ...advanced, ...entry },
    ...(status ? { status } : {}),
    ...(metadata ? { metadata } : {}),
  });

const lost = (observed: Partial<Observed> = {}) =>
  decideOn({ run: fencingRun(), pods: [training], nodes: [silent], volume: shared, ...observed });

const since = (seconds: number, nodes = ["node-a"]) => ({ silence: { attempt: 1, since: at(seconds), nodes } });
const heardAt = (seconds: number, state: Parameters<typeof answer>[0] = {}) => {
  const instant = start + seconds * 1000;
  return { podUid: "pod-1", receivedAt: instant, heardAt: instant, state: answer(state) };
};

/** Counted from the first second on, and now is a minute after it. */
const overdue = (scene: Scene = {}) => fencingRun({ ...scene, status: { ...since(0), ...scene.status } });

describe("a node that falls silent under nodeLost: Fence", () => {
  test("is counted from when the operator first sees it, never by the node's clock, and the run says what comes", () => {
    const decision = lost();
    expect(decision.status).toMatchObject({ state: "Fencing", attempt: 1, silence: { attempt: 1, nodes: ["node-a"] } });
    expect(Date.parse(decision.status.silence?.since ?? "")).toBe(now);
    expect(decision.status.fencedAttempt).toBeUndefined();
    expect([kinds(decision), decision.requeueAfterMs]).toEqual([[], 60_000]);
    expect(condition(decision, "Progressing")).toMatchObject({
      status: "False",
      reason: "NodeSilent",
      message:
        "Nothing has been heard of node node-a since 2026-01-01T00:01:00.000Z, so it is not known whether the pod mnist-1-0 still runs. Attempt 1 is given up, and the next one begins, once nothing was heard for 60 s (spec.nodeLost).",
    });
    expect(decision.events).toMatchObject([{ type: "Warning", reason: "NodeSilent" }]);
  });

  test("is counted from its agent's last answer, where that was heard of late: the cluster calls it silent much later", () => {
    const { status, requeueAfterMs } = lost({ reports: [heardAt(25)] });
    expect(Date.parse(status.silence?.since ?? "")).toBe(start + 25_000);
    expect(requeueAfterMs).toBe(25_000);
  });

  test("is not counted from an answer of long ago, as where a network policy keeps the operator out", () => {
    const { status } = lost({ reports: [heardAt(-1)] });
    expect(Date.parse(status.silence?.since ?? "")).toBe(now);
  });

  test("changes nothing in status while it is counted", () => {
    const first = lost();
    const again = lost({ run: fencingRun({ status: first.status }), now: now + 30_000 });
    expect([again.status, again.events, again.requeueAfterMs]).toEqual([first.status, [], 30_000]);
  });

  test("is counted from now where another operator's clock was ahead", () => {
    const { status, requeueAfterMs } = lost({ run: fencingRun({ status: since(3600) }) });
    expect([Date.parse(status.silence?.since ?? ""), requeueAfterMs]).toEqual([now, 60_000]);
  });

  const alive: readonly [string, Partial<Observed>][] = [
    ["its node is heard of", { nodes: [nodeWith()] }],
    ["its kubelet says itself that it is not ready", { nodes: [nodeWith({ ready: "False", readySince: start })] }],
    ["nothing is known of its node", { nodes: [nodeWith({ presence: "Unknown", ready: "Unknown" })] }],
    ["the policy was set back to Wait", { run: living({ status: since(0), spec: { checkpoint: { volume } } }) }],
  ];
  test.each(alive)("is counted no longer once %s", (_, observed) => {
    const decision = lost({ run: overdue(), ...observed });
    expect(decision.status).toMatchObject({ attempt: 1 });
    expect([decision.status.silence, decision.status.fencedAttempt]).toEqual([undefined, undefined]);
    expect(kinds(decision)).toEqual([]);
  });

  test("is waited for longer where its agent still answers: only its kubelet is gone", () => {
    const decision = lost({ run: overdue(), reports: [heardAt(59)] });
    expect([decision.status.fencedAttempt, decision.requeueAfterMs]).toEqual([undefined, 59_000]);
  });

  test("and whose agent still answers is not called unknown", () => {
    const heard = { pods: [training], nodes: [silent], volume: shared, reports: [heardAt(59)] };
    expect(condition(decideOn({ run: fencingRun(), ...heard }), "Progressing")?.message).toBe(
      "The kubelet of node node-a is not heard of, but the agent of the pod mnist-1-0 still answers: it runs on. Attempt 1 is given up, and the next one begins, once nothing was heard for 60 s (spec.nodeLost).",
    );
    expect(condition(decideOn({ run: living({ entry: advanced }), ...heard }), "Progressing")?.message).toContain(
      "but the agent of the pod mnist-1-0 still answers: it runs on, and only its kubelet cannot be heard. Waiting",
    );
  });

  test("is not given up by what was never written down: the node is read from the server itself only then", () => {
    const spec = { nodeLost: { policy: "Fence", afterSeconds: 30 } };
    const first = lost({ run: fencingRun({ spec }), reports: [heardAt(5)] });
    expect([first.status.fencedAttempt, kinds(first), first.requeueAfterMs]).toEqual([undefined, [], 0]);
    const second = lost({ run: fencingRun({ spec, status: first.status }), reports: [heardAt(5)] });
    expect(second.status.fencedAttempt).toBe(1);
  });
});

describe("an operator that reads no nodes", () => {
  const seen = { pods: [training], volume: shared, seesNodes: false };
  const words =
    "spec.nodeLost.policy: Fence does nothing, because this operator does not read nodes, so it cannot tell that one has gone silent: set the chart's watchNodes to true, or spec.nodeLost.policy to Wait.";

  test("says in the condition of a run that asks for Fence that it cannot be, as long as the run trains", () => {
    const first = decideOn({ run: fencingRun(), ...seen });
    expect(condition(first, "Progressing")?.message).toMatch(/ spec.nodeLost.policy: Fence does nothing/);
    expect(condition(first, "Progressing")?.message.endsWith(words)).toBe(true);
    const again = decideOn({ run: fencingRun({ status: first.status }), ...seen });
    expect([again.status, again.events]).toEqual([first.status, []]);
  });

  test.each([
    ["a run that waits", { run: living({ entry: advanced }), ...seen }],
    ["an operator that reads them", { run: fencingRun(), ...seen, seesNodes: true }],
  ])("does not say so of %s", (_, observed) => {
    expect(condition(decideOn(observed), "Progressing")?.message).not.toContain("Fence does nothing");
  });

  test("tells it when an attempt begins", () => {
    const run = fencingRun({ entry: { endTime: at(1), cause: "Deleted" } });
    const { events } = decideOn({ run, volume: shared, seesNodes: false });
    expect(events).toContainEqual(
      expect.objectContaining({ reason: "FenceUnavailable", message: expect.stringContaining("watchNodes") }),
    );
  });
});

describe("an attempt whose time is over", () => {
  test("ends as a disruption, is taken away by force and followed, all in one pass and one write of the status", () => {
    const decision = lost({ run: overdue() });
    expect(decision.status).toMatchObject({
      state: "Pending",
      attempt: 2,
      fencedAttempt: 1,
      retry: { failures: 0, disruptions: 1 },
      totals: { attempts: 1, disruptions: 1 },
      attempts: [
        { number: 2, pods: [] },
        {
          number: 1,
          cause: "NodeLost",
          charge: "Disruption",
          reason: "Fenced",
          message:
            "Nothing was heard of node node-a since 2026-01-01T00:00:00.000Z, so the attempt was given up by spec.nodeLost. What its pod may still write counts for nothing once the next attempt has opened the log.",
        },
      ],
    });
    expect(decision.status.silence).toBeUndefined();
    expect(decision.actions).toMatchObject([
      { kind: "DeletePod", name: "mnist-1-0", uid: "pod-1", force: true },
      { kind: "CreatePod", attempt: 2 },
      { kind: "ReleasePod", name: "mnist-1-0", uid: "pod-1" },
    ]);
  });

  test("is not judged again where the operator dies before its pod is gone, and its node comes back meanwhile", () => {
    const { status } = lost({ run: overdue() });
    const again = lost({ run: { ...fencingRun(), status }, nodes: [nodeWith()] });
    expect(again.actions).toMatchObject([
      { kind: "DeletePod", force: true },
      { kind: "CreatePod", attempt: 2 },
      { kind: "ReleasePod" },
    ]);
    expect(again.status).toEqual(status);
  });

  test("is not removed twice, where another's finalizer holds its pod", () => {
    const { status } = lost({ run: overdue() });
    const metadata = { deletionTimestamp: at(60), deletionGracePeriodSeconds: 0, finalizers: ["example.com/other"] };
    const next = podWith({
      metadata: {
        name: "mnist-2-0",
        uid: "pod-2",
        labels: { "trainingrun.dev/attempt": "2", "trainingrun.dev/worker": "0" },
      },
      spec: { nodeName: "node-b" },
    });
    const pods = [podWith({ metadata }), next];
    expect(
      kinds(lost({ run: { ...fencingRun(), status }, pods, nodes: [silent, nodeWith({ name: "node-b" })] })),
    ).toEqual([]);
  });

  test.each([
    ["evicted before its node fell silent", { deletionTimestamp: at(30), deletionGracePeriodSeconds: 30 }],
    ["told to go by the taint manager", { deletionTimestamp: at(60), deletionGracePeriodSeconds: 30 }],
  ])("is given up although its pod was %s", (_, metadata) => {
    const decision = lost({ run: overdue(), pods: [podWith({ metadata })] });
    expect(decision.status).toMatchObject({ fencedAttempt: 1, attempt: 2 });
    expect(decision.actions).toMatchObject([
      { kind: "DeletePod", force: true },
      { kind: "CreatePod" },
      { kind: "ReleasePod" },
    ]);
  });

  test("is given up although somebody took the pod's object away by force", () => {
    const decision = lost({ run: overdue(), pods: [], gone: ["pod-1"] });
    expect(decision.status).toMatchObject({
      fencedAttempt: 1,
      attempts: [{ number: 2 }, { cause: "NodeLost", reason: "Fenced" }],
    });
    expect(kinds(decision)).toEqual(["CreatePod"]);
  });

  test("keeps the cause of its trainer, where the kubelet had told of that end before", () => {
    const crashed = podWith({
      status: { containerStatuses: [ended("trainer", 1)], initContainerStatuses: [running("agent")] },
    });
    const { status } = lost({ run: overdue(), pods: [crashed] });
    expect(status).toMatchObject({ fencedAttempt: 1, attempts: [{ number: 1, cause: "Crashed" }] });
  });

  test("keeps the cause of a stop, and a suspended run rests at last", () => {
    const stop = { attempt: 1, cause: "Suspended", time: at(20) };
    const decision = lost({ run: overdue({ spec: { suspend: true }, status: { stop } }) });
    expect(decision.status).toMatchObject({
      state: "Suspended",
      fencedAttempt: 1,
      attempts: [{ cause: "Suspended", charge: "Nothing" }],
    });
    expect(kinds(decision)).toEqual(["DeletePod", "ReleasePod"]);
  });

  test("lets a deleted run go", () => {
    const stop = { attempt: 1, cause: "RunDeleted", time: at(20) };
    const run = overdue({ metadata: { deletionTimestamp: at(20) }, status: { stop } });
    const decision = lost({ run });
    expect(decision.actions).toMatchObject([
      { kind: "DeletePod", force: true },
      { kind: "ReleasePod" },
      { kind: "ReleaseRun" },
    ]);
  });
});

describe("what could not be shut out is waited for, whatever the policy says", () => {
  const unfit: readonly [string, Scene, Partial<Observed>, string][] = [
    [
      "a volume that one node alone may mount",
      {},
      { volume: { ...boundClaim, accessModes: ["ReadWriteOnce"] } },
      "the claim mnist-0123abcd is ReadWriteOnce, and Kubernetes gives its volume to another node only six minutes after the pod is gone, or once the lost node is tainted: make sure that the machine is off, then taint the node node.kubernetes.io/out-of-service=nodeshutdown:NoExecute or delete it. A ReadWriteMany claim, or an object store without a volume, would need neither.",
    ],
    [
      "an object store that creates keys twice",
      { spec: { checkpoint: { volume, objectStore } }, entry: { ...advanced, fences: false } },
      {},
      "the object store https://s3.example.com does not honour conditional writes (If-None-Match)",
    ],
    [
      "an object store of which nobody has told whether it does",
      { spec: { checkpoint: { objectStore } } },
      { volume: { kind: "None" } },
      "no agent has told yet whether the object store honours conditional writes",
    ],
  ];
  test.each(unfit)("%s", (_, scene, observed, words) => {
    const decision = lost({ run: overdue(scene), ...observed });
    expect(decision.status).toMatchObject({ state: "Fencing", attempt: 1 });
    expect([decision.status.fencedAttempt, kinds(decision)]).toEqual([undefined, []]);
    const said = condition(decision, "Progressing");
    expect(said).toMatchObject({
      status: "False",
      reason: "FenceUnavailable",
      message: expect.stringContaining(words),
    });
    expect(said?.message).toContain(
      "Waiting for the node, its deletion, or its taint node.kubernetes.io/out-of-service.",
    );
  });

  test("an object store alone will do, once an agent of any attempt has found that it keeps its word", () => {
    const entries = [
      { ...living().status.attempts?.[0], ...advanced, number: 2 },
      { ...living().status.attempts?.[0], endTime: at(9), fences: true },
    ];
    const status = { attempt: 2, attempts: entries, silence: { attempt: 2, since: at(0), nodes: ["node-a"] } };
    const labels = { "trainingrun.dev/attempt": "2", "trainingrun.dev/worker": "0" };
    const run = fencingRun({ spec: { checkpoint: { objectStore } }, status });
    const pods = [podWith({ metadata: { name: "mnist-2-0", labels } })];
    expect(lost({ run, pods, volume: { kind: "None" } }).status).toMatchObject({ fencedAttempt: 2, attempt: 3 });
  });

  test("is told when an attempt begins, before it is needed", () => {
    const begin = (accessModes: string[]) =>
      decideOn({
        run: living({ spec: fence, entry: { endTime: at(50), cause: "Drained", charge: "Disruption" } }),
        volume: { ...boundClaim, accessModes },
      }).events.map(({ reason }) => reason);
    expect(begin(["ReadWriteMany"])).toEqual(["AttemptStarted"]);
    expect(begin(["ReadWriteOnce"])).toEqual(["AttemptStarted", "FenceUnavailable"]);
  });
});

describe("what the agent tells", () => {
  test.each([true, false])("of its object store is kept with the attempt: %s", (fences) => {
    const reports = [heardAt(59, { fences })];
    const { status } = lost({ nodes: [nodeWith()], reports });
    expect(status.attempts).toMatchObject([{ number: 1, fences }]);
  });

  test("of a log that is far above its number lifts the number that the next attempt takes", () => {
    const record = {
      kind: "restore-failed",
      attempt: 1,
      failure: "Fenced",
      fencedBy: 9,
      message: "attempt 9 is open",
      refused: [],
    };
    const failed = podWith({
      status: {
        phase: "Failed",
        containerStatuses: [ended("trainer", 143)],
        initContainerStatuses: [ended("agent", 1, { message: JSON.stringify(record) })],
      },
    });
    const run = living({ entry: { opened: undefined } });
    const first = decideOn({ run, pods: [failed] });
    expect(first.status).toMatchObject({ attempt: 9, attempts: [{ number: 1, cause: "Fenced", charge: "Nothing" }] });
    const later = decideOn({ run: { ...run, status: first.status }, pods: [failed], now: start + 3_600_000 });
    expect(later.status).toMatchObject({ attempt: 10, attempts: [{ number: 10 }, { number: 1 }] });
  });
});

test("a gang of which one node is silent has its other pods stopped first, and is given up when they have ended", () => {
  const member = (worker: number, fields: Parameters<typeof podWith>[0] = {}) =>
    podWith({
      ...fields,
      metadata: {
        name: `mnist-1-${worker}`,
        uid: `pod-${worker + 1}`,
        labels: { "trainingrun.dev/attempt": "1", "trainingrun.dev/worker": `${worker}` },
        ...fields.metadata,
      },
      spec: { nodeName: worker === 0 ? "node-a" : "node-b" },
    });
  const pods = [
    { uid: "pod-1", node: "node-a" },
    { uid: "pod-2", node: "node-b" },
  ];
  const run = overdue({ entry: { ...advanced, pods } });
  const nodes: ObservedNode[] = [silent, nodeWith({ name: "node-b" })];
  const first = lost({ run, nodes, pods: [member(0), member(1)] });
  expect(first.status).toMatchObject({
    attempt: 1,
    stop: { attempt: 1, cause: "NodeLost", charge: "Disruption", reason: "Fenced" },
  });
  expect(first.status.fencedAttempt).toBeUndefined();
  expect(first.actions).toMatchObject([
    { kind: "DeletePod", uid: "pod-1" },
    { kind: "DeletePod", uid: "pod-2" },
  ]);
  const stopped = member(1, { status: { phase: "Failed", containerStatuses: [ended("trainer", 143)] } });
  const status: TrainingRunStatus = first.status;
  const second = decideOn({
    ...observedWith({}),
    run: { ...run, status },
    nodes,
    volume: shared,
    pods: [member(0), stopped],
  });
  expect(second.status).toMatchObject({ fencedAttempt: 1 });
  expect(second.status.attempts?.find(({ number }) => number === 1)).toMatchObject({
    cause: "NodeLost",
    reason: "Fenced",
  });
});
