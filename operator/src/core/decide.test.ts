import { describe, expect, test } from "vitest";
import { boundClaim, condition, decideOn, held, kinds, living } from "../../test/observed-builder.ts";
import { at, ended, podWith, running, waiting } from "../../test/pod-builder.ts";
import { runWith, start } from "../../test/run-builder.ts";
import { createWorld } from "../../test/world.ts";
import type { TrainingRunStatus } from "../api/status.ts";
import type { ObservedPod } from "./observed.ts";

const absent = { kind: "Absent", claimName: "mnist-0123abcd" } as const;
const digest = `sha256:${"a".repeat(64)}`;
const saved = { step: 40, attempt: 1, digest, bytes: 1, time: at(0), tiers: ["Volume"], metrics: [] };

const training: ObservedPod = podWith({
  status: { containerStatuses: [running("trainer")], initContainerStatuses: [running("agent")] },
});

describe("a new run", () => {
  test("gets its number in status and then finalizer, claim and pod, in this order", () => {
    const decision = decideOn({ volume: absent });
    expect(decision.status).toMatchObject({ attempt: 1, state: "Pending", attempts: [{ number: 1, pods: [] }] });
    expect(kinds(decision)).toEqual(["HoldRun", "CreateClaim", "CreatePod"]);
    expect(decision.actions.at(-1)).toMatchObject({
      attempt: 1,
      worker: 0,
      manifest: { metadata: { name: "mnist-1-0" } },
    });
  });

  test("of another controller is left alone", () => {
    const run = runWith({ spec: { managedBy: "example.com/mine" } });
    expect(decideOn({ run })).toEqual({ status: run.status, actions: [], events: [] });
  });

  const shell = { template: { spec: { containers: [{ name: "trainer", command: ["sh", "-c", "node train.js"] }] } } };
  test.each([
    [
      "asks for what this version cannot do",
      { deletionPolicy: "Delete", checkpoint: { volume: { claimName: "theirs" } } },
      "NotSupported",
      "spec.deletionPolicy: Delete with checkpoint.volume.claimName",
    ],
    ["keeps SIGTERM in a shell", shell, "ShellCommand", "Write `exec` before the last command"],
  ])("that %s does not start, and says why", (_title, spec, reason, words) => {
    const decision = decideOn({ run: runWith({ spec }) });
    expect(kinds(decision)).toEqual([]);
    expect(condition(decision, "Progressing")).toMatchObject({
      status: "False",
      reason,
      message: expect.stringContaining(words),
    });
    expect(decision.events).toMatchObject([{ type: "Warning", reason }]);
  });

  test("whose script hands over with exec starts", () => {
    const command = ["/bin/sh", "-ec", "cd /app && exec node train.js"];
    const run = runWith({ spec: { template: { spec: { containers: [{ name: "trainer", command }] } } } });
    expect(kinds(decideOn({ run }))).toContain("CreatePod");
  });
});

test("a status that was set back gives no number twice: the next is above every pod's (I8)", () => {
  const left = podWith({
    metadata: {
      name: "mnist-7-0",
      uid: "pod-7",
      labels: { "trainingrun.dev/attempt": "7", "trainingrun.dev/worker": "0" },
    },
    status: { phase: "Failed", containerStatuses: [ended("trainer", 1)] },
  });
  const run = runWith({ metadata: held, status: { attempt: 3 } });
  expect(decideOn({ run, pods: [left] }).status.attempt).toBeGreaterThanOrEqual(7);
});

describe("the claim", () => {
  test("that is gone with verified checkpoints on it ends the run (I10)", () => {
    const run = runWith({ metadata: held, status: { attempt: 1, latestVerified: saved } });
    const decision = decideOn({ run, volume: absent });
    expect(kinds(decision)).toEqual([]);
    expect(condition(decision, "Failed")).toMatchObject({ status: "True", reason: "NoVerifiedCheckpoint" });
  });

  test("is made anew where the user would start over", () => {
    const run = runWith({
      metadata: held,
      spec: { resume: { noneVerified: "StartOver" } },
      status: { attempt: 1, latestVerified: saved },
    });
    expect(kinds(decideOn({ run, volume: absent }))).toEqual(["CreateClaim", "CreatePod"]);
  });

  test("of an earlier run with the same name is not adopted", () => {
    const decision = decideOn({ volume: { ...boundClaim, runUid: "another" } });
    expect(kinds(decision)).toEqual([]);
    expect(condition(decision, "Progressing")).toMatchObject({ reason: "ClaimForeign" });
  });
});

describe("a living attempt", () => {
  test("whose recorded pod is neither seen nor known to be gone is not judged", () => {
    const run = living();
    expect(decideOn({ run })).toEqual({ status: run.status, actions: [], events: [], requeueAfterMs: 15_000 });
  });

  test("of a deleted run is not judged either until the grace period and a minute are over, and is then let go (L5)", () => {
    const run = living({ metadata: { deletionTimestamp: at(0) } });
    expect(kinds(decideOn({ run }))).toEqual([]);
    const overdue = decideOn({ run, now: start + 91_000 });
    expect(kinds(overdue)).toEqual(["ReleaseRun"]);
    expect(overdue.events).toMatchObject([{ type: "Warning", reason: "PodsAbandoned" }]);
  });

  test("of a deleted run has its whole grace period to save, however late an operator that was away asks it to", () => {
    const hour = start + 3_600_000;
    const run = living({ metadata: { deletionTimestamp: at(0) } });
    const first = decideOn({ run, pods: [training], now: hour });
    expect([kinds(first), first.events]).toEqual([["DeletePod"], []]);
    const asked = [{ ...training, deletionRequestedAt: hour }];
    const later = (pods: readonly ObservedPod[], now: number) =>
      decideOn({ run: { ...run, status: first.status }, pods, now });
    expect([kinds(later(asked, hour + 89_999)), later(asked, hour + 89_999).requeueAfterMs]).toEqual([[], 1]);
    expect(kinds(later(asked, hour + 90_000))).toEqual(["ReleasePod", "ReleaseRun"]);
    // One that cannot be asked holds nothing up for ever.
    expect(kinds(later([training], hour + 89_999))).toEqual(["DeletePod"]);
    const refused = later([training], hour + 90_000);
    expect(kinds(refused)).toEqual(["DeletePod", "ReleasePod", "ReleaseRun"]);
    expect(refused.events.map(({ message }) => message)).toEqual([
      expect.stringContaining("The API server has not taken the request to stop mnist-1-0 on node node-a."),
    ]);
  });

  test("whose recorded pod is gone without a trace is followed by the next number", () => {
    const decision = decideOn({ run: living(), gone: ["pod-1"] });
    expect(decision.status.attempts).toMatchObject([{ cause: "Deleted", charge: "Disruption" }]);
    expect(decision.status).toMatchObject({
      state: "Backoff",
      retry: { failures: 0, failuresLeft: 3, disruptions: 1 },
    });
  });

  test("has its stop written before its pod is deleted, and the stop is its cause", () => {
    const run = living({ spec: { suspend: true } });
    const first = decideOn({ run, pods: [training] });
    expect(first.status.stop).toMatchObject({ attempt: 1, cause: "Suspended" });
    expect(kinds(first)).toEqual(["DeletePod"]);
    const over = podWith({
      metadata: { deletionTimestamp: at(130), deletionGracePeriodSeconds: 30 },
      status: {
        phase: "Failed",
        containerStatuses: [ended("trainer", 143)],
        initContainerStatuses: [ended("agent", 0)],
      },
    });
    const second = decideOn({ run: { ...run, status: first.status }, pods: [over] });
    expect(second.status.attempts).toMatchObject([{ cause: "Suspended", charge: "Nothing" }]);
    expect(second.status.stop).toBeUndefined();
    expect(second.status.state).toBe("Suspended");
    expect(kinds(second)).toEqual(["ReleasePod"]);
  });

  test.each([
    ["ahead of", at(3660)],
    ["behind", at(-3540)],
  ])("that crashed on a node whose clock is an hour %s ours is followed after the same wait", (_title, finishedAt) => {
    const crashed = podWith({
      status: {
        phase: "Failed",
        containerStatuses: [ended("trainer", 1, { finishedAt })],
        initContainerStatuses: [ended("agent", 0, { finishedAt })],
      },
    });
    const { nextAttemptTime = "" } = decideOn({ run: living(), pods: [crashed] }).status.retry ?? {};
    const wait = Date.parse(nextAttemptTime) - (start + 60_000);
    expect(wait).toBeGreaterThanOrEqual(7_500);
    expect(wait).toBeLessThanOrEqual(10_000);
  });

  test("with a pod of the same number beside the recorded one has that one stopped and not counted", () => {
    const twin = { ...training, uid: "pod-2" };
    expect(decideOn({ run: living(), pods: [training, twin] }).actions).toEqual([
      { kind: "DeletePod", name: "mnist-1-0", uid: "pod-2" },
    ]);
  });

  test("never touches a pod of another owner (I7)", () => {
    const foreign = { ...training, uid: "pod-2", ownerUid: "someone" };
    expect(kinds(decideOn({ run: living(), pods: [training, foreign] }))).toEqual([]);
  });

  test("on a silent node waits, and says for what", () => {
    const node = {
      name: "node-a",
      presence: "Present",
      ready: "Unknown",
      readySince: start,
      outOfService: false,
    } as const;
    const decision = decideOn({ run: living(), pods: [training], nodes: [node] });
    expect(kinds(decision)).toEqual([]);
    expect(condition(decision, "Progressing")).toMatchObject({
      status: "False",
      reason: "NodeSilent",
      message: expect.stringContaining("out-of-service"),
    });
  });

  test("whose image cannot be pulled says so in the kubelet's words, and an edit supersedes it", () => {
    const pulling = podWith({
      status: { phase: "Pending", containerStatuses: [waiting("trainer", "ImagePullBackOff", "no such image")] },
    });
    const stuck = decideOn({ run: living(), pods: [pulling] });
    expect(kinds(stuck)).toEqual([]);
    expect(condition(stuck, "Progressing")).toMatchObject({
      reason: "ImagePullBackOff",
      message: expect.stringContaining("no such image"),
    });
    const edited = decideOn({ run: living({ metadata: { generation: 2 } }), pods: [pulling] });
    expect(edited.status.stop).toMatchObject({ cause: "Superseded" });
    expect(kinds(edited)).toEqual(["DeletePod"]);
  });

  test("whose restore refuses is stopped although its trainer still waits", () => {
    const message = JSON.stringify({
      kind: "restore-failed",
      attempt: 1,
      failure: "NoVerifiedCheckpoint",
      message: "none",
      refused: [],
    });
    const agent = { ...waiting("agent", ""), lastState: ended("agent", 1, { message }).state };
    const pod = podWith({ status: { containerStatuses: [running("trainer")], initContainerStatuses: [agent] } });
    const decision = decideOn({ run: living(), pods: [pod] });
    expect(decision.status.stop).toMatchObject({ cause: "NoVerifiedCheckpoint", message: "none" });
    expect(kinds(decision)).toEqual(["DeletePod"]);
  });

  test("whose creation was refused is tried again later, with the API server's words", () => {
    const run = runWith({
      metadata: held,
      status: { attempt: 1, attempts: [{ number: 1, generation: 1, pods: [], startTime: at(0) }] },
    });
    const refusal = {
      kind: "Pod",
      name: "mnist-1-0",
      status: 403,
      reason: "Forbidden",
      message: "exceeded quota: gpus",
      at: start + 55_000,
      firstAt: start + 55_000,
      inVainSince: start + 55_000,
      generation: 1,
    } as const;
    const decision = decideOn({ run, refusals: [refusal] });
    expect(kinds(decision)).toEqual([]);
    expect(decision.requeueAfterMs).toBeGreaterThan(6_000);
    expect(decision.requeueAfterMs).toBeLessThanOrEqual(10_000);
    expect(condition(decision, "Progressing")).toMatchObject({ reason: "QuotaExceeded" });
    expect(kinds(decideOn({ run, refusals: [refusal], now: start + 70_000 }))).toEqual(["CreatePod"]);
  });
});

describe("over its life, in a model of the cluster", () => {
  const operate = (world: ReturnType<typeof createWorld>) => {
    for (let pass = 0; pass < 10 && world.pass().wrote; pass += 1);
    return world.status as TrainingRunStatus;
  };

  test("an evicted attempt that advanced is followed at once, and nothing is lost", () => {
    const world = createWorld();
    operate(world);
    for (const event of ["start", "train", "evict", "terminate"] as const) {
      world.events[event]();
      operate(world);
    }
    expect(world.creates).toEqual(["mnist-1-0", "mnist-2-0"]);
    world.events.start();
    expect(operate(world).attempts).toMatchObject([
      { number: 2, resumedFrom: { step: 17 } },
      { number: 1, cause: "Drained", lastStep: 17, lostSteps: 0, finalCheckpoint: "Saved" },
    ]);
  });

  test("crashes wait longer and longer and end the run when the budget is spent", () => {
    const world = createWorld();
    const waits: number[] = [];
    for (let round = 0; round < 4; round += 1) {
      operate(world);
      world.events.start();
      operate(world);
      world.events.crash();
      const { retry } = operate(world);
      if (retry?.nextAttemptTime) waits.push((Date.parse(retry.nextAttemptTime) - world.now) / 1000);
      while (Date.parse((world.status as TrainingRunStatus).retry?.nextAttemptTime ?? "") > world.now)
        world.events.tick();
    }
    expect(waits.map((wait) => [10, 20, 40, 80].findIndex((most) => wait <= most && wait >= 0.75 * most))).toEqual([
      0, 1, 2, 3,
    ]);
    expect(world.status).toMatchObject({ state: "Failed", attempt: 4, totals: { failures: 4 } });
  });

  test("a checkpoint after which it crashes twice at the same step is suspected", () => {
    const world = createWorld();
    operate(world);
    for (const event of [
      "start",
      "train",
      "save",
      "train",
      "save",
      "crash",
      "tick",
      "tick",
      "start",
      "train",
      "crash",
      "tick",
      "tick",
      "tick",
      "start",
      "train",
      "crash",
    ] as const) {
      world.events[event]();
      operate(world);
    }
    expect(world.status).toMatchObject({ suspects: [{ step: 34, stuckAt: 51 }] });
  });
});
