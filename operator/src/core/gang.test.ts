import { describe, expect, test } from "vitest";
import { dead, deleted, digest, disruption, done, failed, nodeWith, preempted, served } from "../../test/ended-pods.ts";
import { gang, nodeOf, recorded, workerPod } from "../../test/gang-builder.ts";
import { condition, decideOn, kinds } from "../../test/observed-builder.ts";
import { at, ended, waiting } from "../../test/pod-builder.ts";
import { answer, progress } from "../../test/records.ts";
import { type Fields, start } from "../../test/run-builder.ts";
import type { ObservedPod } from "./observed.ts";

const [first, second, third] = [workerPod(0), workerPod(1), workerPod(2)];
const crashed = (worker: number, code = 1) =>
  workerPod(worker, { trainer: ended("trainer", code, { message: "Traceback" }) });
/** The pod of a worker with both containers ended. */
const over = (worker: number, trainer: Fields, rest: { agent?: Fields; metadata?: Fields; status?: Fields } = {}) =>
  workerPod(worker, {
    metadata: { ...rest.metadata },
    status: dead(trainer, rest.agent ?? ended("agent", 0), rest.status),
  });
const nodes = [0, 1, 2].map((worker) => nodeWith({ name: nodeOf(worker) }));
const observe = (pods: readonly ObservedPod[], over: Fields = {}) =>
  decideOn({ run: gang(), pods, nodes, service: "Present", ...over });
const deletedPods = (decision: ReturnType<typeof decideOn>) =>
  decision.actions.flatMap((action) => (action.kind === "DeletePod" ? [action.name] : []));

describe("a gang of which one worker is lost", () => {
  test.each<[string, ObservedPod, cause: string, charge: string]>([
    ["crashed", crashed(1), "Crashed", "Failure"],
    [
      "ran out of memory",
      workerPod(1, { trainer: ended("trainer", 137, { reason: "OOMKilled" }) }),
      "OutOfMemory",
      "Failure",
    ],
    [
      "is being evicted",
      workerPod(1, { metadata: deleted, status: { conditions: disruption("EvictionByEvictionAPI") } }),
      "Drained",
      "Disruption",
    ],
    ["is being deleted by somebody", workerPod(1, { metadata: deleted }), "Deleted", "Disruption"],
    [
      "was refused by its kubelet",
      workerPod(1, {
        status: { phase: "Failed", reason: "OutOfcpu", containerStatuses: [], initContainerStatuses: [] },
      }),
      "Rejected",
      "Disruption",
    ],
    [
      "cannot read its part",
      workerPod(1, { agent: ended("agent", 1, failed("StorageUnavailable")) }),
      "StorageUnavailable",
      "Nothing",
    ],
    [
      "exited 0 because it was asked to stop",
      workerPod(1, { trainer: ended("trainer", 0, { finishedAt: at(131) }), metadata: deleted }),
      "Deleted",
      "Disruption",
    ],
  ])("asks the others to stop, and says why: it %s", (_, pod, cause, charge) => {
    const decision = observe([first, pod, third]);
    expect(decision.status.stop).toMatchObject({ attempt: 1, cause, charge });
    expect(deletedPods(decision)).toEqual(
      ["mnist-1-0", "mnist-1-1", "mnist-1-2"].filter(
        (name) => name !== pod.name || (pod.deletionRequestedAt === null && pod.phase !== "Failed"),
      ),
    );
    expect(decision.status.attempts?.[0]?.endTime).toBeUndefined();
  });

  test("asks the others to stop where its pod is gone", () => {
    const decision = observe([first, third], { gone: ["pod-1"] });
    expect(decision.status.stop).toMatchObject({ cause: "Deleted", reason: "GoneWithoutTrace" });
    expect(deletedPods(decision)).toEqual(["mnist-1-0", "mnist-1-2"]);
  });

  test("asks the others to stop where a silent node may run it though its object is gone", () => {
    const silent = [nodes[0], nodeWith({ name: "node-b", ready: "Unknown" }), nodes[2]];
    const decision = observe([first, third], { gone: ["pod-1"], nodes: silent });
    expect(decision.status.stop).toMatchObject({ cause: "Deleted", charge: "Disruption" });
    expect([deletedPods(decision), decision.status.attempts?.[0]?.endTime]).toEqual([
      ["mnist-1-0", "mnist-1-2"],
      undefined,
    ]);
  });

  test("creates no worker any more that it still lacked", () => {
    const decision = observe([first, crashed(1)], { run: gang({ pods: [recorded(0), recorded(1)] }) });
    expect(kinds(decision)).toEqual(["DeletePod", "DeletePod"]);
  });

  test("is not followed before all of it have ended, and keeps the cause of the one that was lost", () => {
    const stop = observe([first, crashed(1), third]).status;
    const run = { ...gang(), status: stop };
    const stopped = (worker: number) => over(worker, ended("trainer", 143, preempted), { metadata: deleted });
    const waitingFor = decideOn({ run, pods: [stopped(0), over(1, ended("trainer", 1)), third], nodes });
    expect([kinds(waitingFor), waitingFor.status.attempts?.length]).toEqual([["DeletePod"], 1]);
    const all = decideOn({ run, pods: [stopped(0), over(1, ended("trainer", 1)), stopped(2)], nodes });
    expect(all.status.attempts?.find(({ number }) => number === 1)).toMatchObject({
      cause: "Crashed",
      charge: "Failure",
      exitCode: 1,
      message: "Traceback",
    });
  });

  test("is named by the pod that the cluster took, where all of it were signalled", () => {
    const asked = ended("trainer", 143, preempted);
    const evicted = over(2, asked, { metadata: deleted, status: { conditions: disruption("PreemptionByScheduler") } });
    const { status } = observe([over(0, asked), over(1, asked), evicted]);
    expect(status.attempts?.find(({ number }) => number === 1)).toMatchObject({
      cause: "Preempted",
      charge: "Disruption",
    });
  });

  test("is stopped by a wish with the wish's cause, unless a worker had crashed before", () => {
    const suspended = gang({ spec: { suspend: true } });
    expect(observe([first, second, third], { run: suspended }).status.stop).toMatchObject({ cause: "Suspended" });
    expect(observe([first, crashed(1), third], { run: suspended }).status.stop).toMatchObject({ cause: "Crashed" });
    const stop = { attempt: 1, cause: "Suspended", time: at(110) };
    const run = gang({ spec: { suspend: true }, status: { stop } });
    const asked = (worker: number) =>
      over(worker, ended("trainer", 143, preempted), {
        metadata: { deletionTimestamp: at(145), deletionGracePeriodSeconds: 30 },
      });
    const crash = decideOn({ run, pods: [asked(0), over(1, ended("trainer", 1)), asked(2)], nodes });
    expect(crash.status.attempts?.[0]).toMatchObject({ cause: "Crashed", exitCode: 1 });
    const none = decideOn({ run, pods: [asked(0), asked(1), asked(2)], nodes });
    expect(none.status.attempts?.[0]).toMatchObject({ cause: "Suspended", charge: "Nothing" });
  });
});

describe("a gang that finishes", () => {
  const doneAt = (seconds: number) => ended("trainer", 0, { ...done, finishedAt: at(seconds) });
  const part = (worker: number, seconds = 100) =>
    over(worker, ended("trainer", 0, { finishedAt: at(seconds) }), { status: { phase: "Succeeded" } });
  const verified = ended("agent", 0, served(digest));

  test("is Complete once all have ended and the agent of worker 0 has verified", () => {
    const { status } = observe([over(0, doneAt(100), { agent: verified }), part(1), part(2)]);
    expect([status.state, status.stop]).toEqual(["Complete", undefined]);
    const unverified = observe([over(0, doneAt(100)), part(1), part(2)]).status;
    expect(unverified.attempts?.find(({ number }) => number === 1)).toMatchObject({ cause: "Unverified" });
  });

  test("is Complete by worker 0 alone, however another one's pod ends after it", () => {
    const { status } = observe([over(0, doneAt(100), { agent: verified }), over(1, ended("trainer", 139)), part(2)]);
    expect(status.state).toBe("Complete");
  });

  test("is not done by what another worker says", () => {
    const { status } = observe([crashed(0), over(1, doneAt(100), { agent: verified }), part(2)]);
    expect(status.stop).toMatchObject({ cause: "Crashed", charge: "Failure" });
  });

  test.each([
    ["worker 0 is done", [over(0, doneAt(100), { agent: verified }), second, part(2)], "Complete", "Nothing", "1"],
    ["others have done their part", [first, part(1), part(2)], "Incomplete", "Failure", "0"],
  ])("gives those that are left two minutes where %s, and then asks them to stop", (_, pods, cause, charge, left) => {
    const early = observe(pods, { now: start + 200_000 });
    expect([early.status.stop, kinds(early), early.requeueAfterMs]).toEqual([undefined, [], 20_000]);
    expect(condition(early, "Progressing")).toMatchObject({
      status: "False",
      reason: "Finishing",
      message: expect.stringContaining(`Workers ${left} have until 2026-01-01T00:03:40.000Z to end as well`),
    });
    const late = observe(pods, { now: start + 220_000 });
    expect(late.status.stop).toMatchObject({ cause, charge });
    expect(deletedPods(late)).toEqual([`mnist-1-${left}`]);
  });

  test("leaves a suspension its name while worker 0 still trains", () => {
    const run = gang({ spec: { suspend: true } });
    expect(observe([first, part(1), third], { run }).status.stop).toMatchObject({ cause: "Suspended" });
  });
});

describe("how a gang fares", () => {
  const reporting = (step: number) => ({
    podUid: "pod-0",
    receivedAt: start + 60_000,
    heardAt: start + 60_000,
    state: answer({ podUid: "pod-0", progress: progress({ step, firstStep: { step: 1, time: at(30) } }) }),
  });

  test("is told by worker 0", () => {
    const { status, ...decision } = observe([first, second, third], { reports: [reporting(7)] });
    expect(condition({ status, ...decision }, "Progressing")).toMatchObject({ status: "True", reason: "Training" });
    expect(status.progress?.step).toBe(7);
  });

  test.each<[string, Fields, reason: string, words: string]>([
    [
      "has no place",
      {
        spec: { nodeName: undefined },
        status: {
          phase: "Pending",
          containerStatuses: [],
          initContainerStatuses: [],
          conditions: [{ type: "PodScheduled", status: "False", reason: "Unschedulable", message: "no GPU" }],
        },
      },
      "Unschedulable",
      "The pod mnist-1-2 is not scheduled: no GPU",
    ],
    [
      "has no image",
      { trainer: waiting("trainer", "ImagePullBackOff", "no such image") },
      "ImagePullBackOff",
      "pod mnist-1-2 does not start",
    ],
    [
      "starts",
      { trainer: waiting("trainer", "PodInitializing"), agent: waiting("agent", "PodInitializing") },
      "Starting",
      "The pod mnist-1-2 is starting.",
    ],
  ])("is told by the first pod that something hinders: one that %s", (_, fields, reason, words) => {
    const decision = observe([first, second, workerPod(2, fields)], { reports: [reporting(7)] });
    expect(condition(decision, "Progressing")).toMatchObject({
      status: "False",
      reason,
      message: expect.stringContaining(words),
    });
  });

  test("is not told by an agent of another worker that loops, unless it never let the gang begin", () => {
    const looping = workerPod(1, {
      agent: {
        ...waiting("agent", "CrashLoopBackOff"),
        restartCount: 5,
        lastState: ended("agent", 137, { reason: "OOMKilled" }).state,
      },
    });
    const stopped = (entry: Fields) => observe([first, looping, third], { run: gang({ entry }) }).status.stop;
    expect(stopped({ opened: true })).toMatchObject({ cause: "OutOfMemory", reason: "AgentRestarts" });
    expect(stopped({ opened: true, firstStepTime: at(30) })).toBeUndefined();
  });
});

describe("a node that a gang's checkpoints did not verify on", () => {
  const suspect = ended("agent", 1, failed("NodeSuspect"));

  test("is known, and none of the others is suspected with it", () => {
    const pods = [
      over(0, ended("trainer", 143)),
      over(1, ended("trainer", 143), { agent: suspect }),
      over(2, ended("trainer", 143)),
    ];
    const stop = observe([first, workerPod(1, { agent: suspect }), third]).status;
    const ends = decideOn({ run: { ...gang(), status: stop }, pods, nodes });
    expect(ends.status.attempts?.find(({ number }) => number === 1)).toMatchObject({
      cause: "NodeSuspect",
      suspectNode: "node-b",
    });
  });
});
