import { describe, expect, test } from "vitest";
import { dead, done, failed, preempted } from "../../test/ended-pods.ts";
import { boundClaim, decideOn, kinds, living } from "../../test/observed-builder.ts";
import { at, ended, podWith, running, waiting } from "../../test/pod-builder.ts";
import { start } from "../../test/run-builder.ts";

const finishing = (trainer: Record<string, unknown>) =>
  podWith({ status: { containerStatuses: [trainer], initContainerStatuses: [running("agent")] } });
const over = (trainer: Record<string, unknown>) =>
  podWith({
    metadata: { deletionTimestamp: at(150), deletionGracePeriodSeconds: 30 },
    status: dead(trainer, ended("agent", 0, { finishedAt: at(120) })),
  });

const wishes = [
  { wish: "a suspension", fields: { spec: { suspend: true } } },
  { wish: "the run's deadline", fields: { spec: { activeDeadlineSeconds: 30 }, status: { startTime: at(0) } } },
  { wish: "the run's deletion", fields: { metadata: { deletionTimestamp: at(59) } } },
];
const ends = [
  { end: "crashed", trainer: ended("trainer", 1, { finishedAt: at(50) }), cause: "Crashed" },
  { end: "ran out of memory", trainer: ended("trainer", 137, { reason: "OOMKilled" }), cause: "OutOfMemory" },
  { end: "exited without a word", trainer: ended("trainer", 0, { finishedAt: at(50) }), cause: "Incomplete" },
  { end: "was signalled", trainer: ended("trainer", 143, preempted), cause: "Signalled" },
  { end: "finished", trainer: ended("trainer", 0, done), cause: "Unverified" },
];

describe("a wish that comes while the agent finishes", () => {
  test.each(wishes.flatMap((wish) => ends.map((end) => ({ ...wish, ...end }))))(
    "$wish does not change why a trainer ended that $end",
    ({ fields, trainer, cause }) => {
      const run = living(fields);
      const first = decideOn({ run, pods: [finishing(trainer)] });
      expect(first.status.stop?.cause ?? cause).toBe(cause);
      const second = decideOn({ run: { ...run, status: first.status }, pods: [over(trainer)] });
      expect(second.status.attempts?.find(({ number }) => number === 1)).toMatchObject({ cause });
    },
  );

  test("ends in Suspended, with the crash charged and its exit code kept", () => {
    const run = living({ spec: { suspend: true } });
    const crashed = ended("trainer", 3, { message: "Traceback", finishedAt: at(50) });
    const first = decideOn({ run, pods: [finishing(crashed)] });
    const second = decideOn({ run: { ...run, status: first.status }, pods: [over(crashed)] });
    expect(second.status).toMatchObject({
      state: "Suspended",
      retry: { failures: 1, failuresLeft: 2 },
      attempts: [{ cause: "Crashed", charge: "Failure", exitCode: 3, message: "Traceback" }],
    });
  });
});

describe("a trainer whose pod a second container keeps alive", () => {
  const trainer = ended("trainer", 42, { finishedAt: at(50) });
  const beside = (shipper: Record<string, unknown>, rest: Record<string, unknown>) =>
    podWith({
      spec: { containers: [{ name: "trainer" }, { name: "shipper" }] },
      ...rest,
      status: { ...(rest.status as object), containerStatuses: [trainer, shipper] },
    });
  const shipping = beside(running("shipper"), { status: { initContainerStatuses: [running("agent")] } });
  const stopped = beside(ended("shipper", 143), {
    metadata: { deletionTimestamp: at(150), deletionGracePeriodSeconds: 30 },
    status: { phase: "Failed", initContainerStatuses: [ended("agent", 0)] },
  });

  test.each([
    ["Fail", "Terminal", { state: "Failed" }],
    ["Retry", "Failure", { state: "Backoff", retry: { failures: 1 } }],
    ["Ignore", "Disruption", { state: "Backoff", retry: { failures: 0, disruptions: 1 } }],
  ])("is charged as the rule %s says after our stop as well", (action, charge, status) => {
    const run = living({ spec: { retry: { rules: [{ exitCodes: [42], action }] } } });
    const first = decideOn({ run, pods: [shipping] });
    expect(first.status.stop).toMatchObject({ cause: "ByRule", charge, exitCode: 42 });
    expect(kinds(first)).toEqual(["DeletePod"]);
    const second = decideOn({ run: { ...run, status: first.status }, pods: [stopped] });
    expect(second.status).toMatchObject({ ...status, attempts: [{ cause: "ByRule", charge, exitCode: 42 }] });
  });
});

describe("a pod without a node whose claim goes", () => {
  const pending = (createdSeconds: number) =>
    podWith({
      metadata: { creationTimestamp: at(createdSeconds) },
      spec: { nodeName: undefined },
      status: { phase: "Pending", containerStatuses: [], initContainerStatuses: [] },
    });
  const going = { ...boundClaim, deletionRequested: true };
  const gone = { kind: "Absent", claimName: boundClaim.claimName } as const;
  const now = start + 100_000;

  test.each([
    ["is being deleted", going, 90, "was deleted before any pod"],
    ["is gone", gone, 40, "was gone before any pod"],
  ])("is stopped where that %s, for nothing: the run would wait for ever", (_, volume, createdSeconds, words) => {
    const run = living();
    const first = decideOn({ run, pods: [pending(createdSeconds)], volume, now });
    expect(first.status.stop).toMatchObject({ cause: "StorageUnavailable", reason: "ClaimGone" });
    expect(first.status.stop?.message).toContain(words);
    expect(kinds(first)).toEqual(["DeletePod"]);
  });

  test.each([
    ["is there", boundClaim, pending(0)],
    ["may only not be known yet", gone, pending(41)],
    ["goes under a pod that has a node", going, podWith({ metadata: { creationTimestamp: at(0) } })],
  ])("is not, where that %s", (_, volume, pod) => {
    expect(decideOn({ run: living(), pods: [pod], volume, now }).status.stop).toBeUndefined();
  });
});

describe("a restore that failed in an earlier life of the agent", () => {
  const agent = (state: Record<string, unknown>) => ({
    ...state,
    lastState: ended("agent", 1, failed("StorageUnavailable")).state,
  });

  test("does not end an attempt that goes on, however long nobody looked", () => {
    const pod = podWith({
      status: { containerStatuses: [running("trainer")], initContainerStatuses: [agent(running("agent"))] },
    });
    const decision = decideOn({ run: living(), pods: [pod], now: start + 3_600_000 });
    expect(decision.status.stop).toBeUndefined();
    expect(kinds(decision)).toEqual([]);
  });

  test("ends it where the agent has not begun again", () => {
    const pod = podWith({
      status: {
        containerStatuses: [running("trainer")],
        initContainerStatuses: [agent(waiting("agent", "CrashLoopBackOff"))],
      },
    });
    expect(decideOn({ run: living(), pods: [pod] }).status.stop).toMatchObject({ cause: "StorageUnavailable" });
  });
});

describe("an agent that ends again and again before its restore is through", () => {
  const looping = (restartCount: number, fields: Record<string, unknown> = { reason: "OOMKilled" }) =>
    podWith({
      status: {
        containerStatuses: [running("trainer")],
        initContainerStatuses: [
          { ...waiting("agent", "CrashLoopBackOff"), restartCount, lastState: ended("agent", 137, fields).state },
        ],
      },
    });

  test.each([
    ["for its memory", { reason: "OOMKilled" }, "OutOfMemory", "Raise the agent's memory limit"],
    ["for a defect", { reason: "Error", message: "no such device" }, "Crashed", "Its last words: no such device"],
  ])("%s is given up as a failure, with its words", (_, fields, cause, words) => {
    const run = living();
    const pod = looping(5, fields);
    const first = decideOn({ run, pods: [pod] });
    expect(first.status.stop).toMatchObject({ cause, charge: "Failure", reason: "AgentRestarts" });
    expect(first.status.stop?.message).toContain(words);
    expect(kinds(first)).toEqual(["DeletePod"]);
    const over = podWith({
      metadata: { deletionTimestamp: at(150), deletionGracePeriodSeconds: 30 },
      status: dead(ended("trainer", 143), ended("agent", 137, fields)),
    });
    const second = decideOn({ run: { ...run, status: first.status }, pods: [over] });
    expect(second.status).toMatchObject({
      state: "Backoff",
      retry: { failures: 1 },
      attempts: [{ cause, charge: "Failure", reason: "AgentRestarts" }],
    });
  });

  test.each([
    ["that has not been tried often", living(), looping(4)],
    ["that has handed over", living({ entry: { opened: true } }), looping(9)],
    [
      "that runs again",
      living(),
      podWith({
        status: {
          initContainerStatuses: [{ ...running("agent"), restartCount: 9, lastState: ended("agent", 137).state }],
        },
      }),
    ],
  ])("and one %s is not", (_, run, pod) => {
    expect(decideOn({ run, pods: [pod] }).status.stop).toBeUndefined();
  });
});
