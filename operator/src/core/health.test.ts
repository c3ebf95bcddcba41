import type { AgentState } from "@trainingrun/checkpoint/contract/agent-state.ts";
import type { CheckpointSummary } from "@trainingrun/checkpoint/contract/checkpoint-summary.ts";
import type { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import type { ObjectStoreProblem } from "@trainingrun/checkpoint/store/object/object-store-error.ts";
import { describe, expect, test } from "vitest";
import { done } from "../../test/ended-pods.ts";
import { condition, decideOn, held, living } from "../../test/observed-builder.ts";
import { at, ended, podWith, running } from "../../test/pod-builder.ts";
import { answer, checkpoint, digest, mirror, served } from "../../test/records.ts";
import { type Fields, runWith, specWith, start } from "../../test/run-builder.ts";
import { knownProblems } from "./object-store-advice.ts";

const objectStore = { endpoint: "https://s3.example.com", bucket: "checkpoints", credentialsSecretName: "s3-keys" };
const mirrored = { checkpoint: { ...(specWith().checkpoint as Fields), objectStore } };
const ephemeral = { checkpoint: { objectStore } };
const pod = podWith({ status: { containerStatuses: [running("trainer")], initContainerStatuses: [running("agent")] } });

/** What is decided on an answer of the agent of a living attempt. */
function decided(state: Partial<AgentState>, spec: Fields = mirrored, status: Fields = {}) {
  const report = { podUid: "pod-1", receivedAt: start, state: answer(state) };
  return decideOn({ run: living({ spec, status }), pods: [pod], reports: [report] });
}

const healthOf = (state: Partial<AgentState>, spec?: Fields) => condition(decided(state, spec), "CheckpointsHealthy");

/** What the sentence about each problem tells a person to touch. A new problem does not compile without a line. */
const remedies: Record<ObjectStoreProblem | "MirrorLogLost", string> = {
  EndpointUnreachable: "spec.checkpoint.objectStore.endpoint (https://s3.example.com)",
  CertificateRefused: "as ca.crt into the Secret s3-keys",
  BucketMissing: "Create the bucket checkpoints at https://s3.example.com",
  CredentialsMissing: "Put accessKeyId and secretAccessKey into the Secret s3-keys in the namespace team",
  CredentialsRefused: "into the Secret s3-keys",
  CredentialsExpired: "fresh keys",
  AccessDenied: "in the bucket checkpoints, and list and abort uploads there (s3:ListBucketMultipartUploads",
  ClockSkewed: "Set the clock",
  QuotaExceeded: "quota of the bucket checkpoints",
  ConditionsUnsupported: "honours If-None-Match",
  Throttled: "raise the limit of checkpoints",
  StoreFailing: "logs of the store at https://s3.example.com",
  MirrorLogLost: "Look for a lifecycle rule of the bucket checkpoints",
  Stopped: "the next one goes on",
};

describe("CheckpointsHealthy", () => {
  test.each(Object.entries(remedies))("names the problem %s of the object store, and what to do", (reason, remedy) => {
    const problem = { reason, message: "Cannot put a thing." };
    const health = healthOf({ mirror: mirror({ latestStep: 10, lagSteps: 30, problem }) });
    expect(health).toMatchObject({ status: "False", reason, message: expect.stringContaining(remedy) });
    expect(health?.message).toMatch(/^Cannot put a thing\. .*It has step 10; what is newer is on the volume alone\.$/);
  });

  test.each([
    ["EndpointUnreachable", { problem: { reason: "EndpointUnreachable", message: "No way." } }],
    ["QuotaExceeded", { problem: { reason: "QuotaExceeded", message: "Full." } }],
    ["MirrorBehind", { lagSteps: 30, lagSeconds: 601 }],
  ])("says with %s that an edit of the spec holds from the next attempt on", (reason, state) => {
    const message = expect.stringMatching(/holds from the next attempt on: .*suspend and resume the run/);
    expect(healthOf({ mirror: mirror(state) })).toMatchObject({ reason, message });
  });

  test("has advice for every problem that an agent may name, and for no other", () => {
    expect(knownProblems.toSorted()).toEqual(Object.keys(remedies).toSorted());
  });

  test.each([
    ["SaveStuck", "delete the pod: the next attempt goes on from the newest verified checkpoint"],
    ["UnknownFormat", "upgrade the operator, and with it the agent, to the trainer's release"],
    ["UnknownRecordVersion", "upgrade the operator"],
    ["HashUnavailable", "use an agent's image for the processor of the node"],
  ])("names the problem %s of the volume, and what to do", (reason, remedy) => {
    const health = healthOf({ problems: [{ reason, message: "Seen so." }] }, {});
    expect(health).toMatchObject({ status: "False", reason, message: expect.stringContaining(remedy) });
    expect(health?.message).toMatch(/^Seen so\. .*\.$/);
  });

  test("leaves the words of an agent that say what to do as they are", () => {
    const problem = { reason: "BudgetSpent", message: "Raise checkpoint.maxBytes." };
    expect(healthOf({ problems: [problem] }, {})?.message).toBe(problem.message);
  });

  test("says an agent's own word where there is no advice about it", () => {
    const problem = { reason: "SourceDamaged", message: "Cannot mirror step 40." };
    const health = healthOf({ mirror: mirror({ latestStep: null, problem }) }, ephemeral);
    const message =
      "Cannot mirror step 40. Nothing is in it yet; what is newer goes with the pod, because the run has no volume.";
    expect(health).toMatchObject({ status: "False", reason: "SourceDamaged", message });
  });

  test("tells of the volume's problem and of the object store's at once, each once", () => {
    const tight = { reason: "BudgetTight", message: "Little room." };
    const down = { reason: "EndpointUnreachable", message: "No way." };
    const health = healthOf({ problems: [tight, down], mirror: mirror({ problem: down }) });
    expect(health).toMatchObject({ status: "False", reason: "BudgetTight" });
    expect(health?.message.match(/Little room\.|No way\./g)).toEqual(["Little room.", "No way."]);
  });

  test.each([
    ["has everything", mirror(), "True", "The object store has the newest of it."],
    ["has nothing yet", mirror({ latestStep: null, lagSteps: 40 }), "True", "The object store has no copy yet."],
    ["uploads", mirror({ lagSteps: 30, lagSeconds: 600 }), "True", "The object store is 30 steps behind, at step 10."],
    ["does not keep up", mirror({ lagSteps: 30, lagSeconds: 601 }), "False", "for more than 10 minutes, by 30 steps"],
  ])("of an object store that %s", (_, state, status, words) => {
    const reason = status === "True" ? "Healthy" : "MirrorBehind";
    expect(healthOf({ mirror: state })).toMatchObject({ status, reason, message: expect.stringContaining(words) });
  });

  test.each([
    ["no copy yet", mirror({ latestStep: null, lagSteps: 40, lagSeconds: 700 })],
    ["an older one", mirror({ lagSteps: 30, lagSeconds: 700 })],
  ])("believes the agent's record, which is later than an answer that knew of %s", (_, state) => {
    const latestVerified = { ...checkpoint(40, 1, "b"), tiers: ["Volume" as const, "ObjectStore" as const] };
    const health = healthOf({ latestVerified, mirror: state });
    expect(health).toMatchObject({ status: "True", message: expect.stringMatching(/has the newest of it\.$/) });
  });

  test.each([
    [600, "True", "lacks the newest save, of step 10."],
    [601, "False", "has been behind for more than 10 minutes"],
  ])(
    "tells a second save of a step from the first, which alone is mirrored since %i s",
    (lagSeconds, status, words) => {
      const latestVerified = { ...checkpoint(10, 2, "b"), tiers: ["Volume" as const] };
      const health = healthOf({ latestVerified, mirror: mirror({ lagSeconds }) });
      expect(health).toMatchObject({ status, message: expect.stringContaining(words) });
    },
  );

  test("without a volume tells that what is verified is not mirrored yet", () => {
    const latestVerified = { ...checkpoint(10, 1, "a"), tiers: ["ObjectStore" as const] };
    const health = healthOf({ latestVerified, mirror: mirror({ lagSteps: 30 }) }, ephemeral);
    expect(health?.message).toMatch(/is 30 steps behind, at step 10\.$/);
  });

  test("is not written again for every second that the object store is behind", () => {
    const problem = { reason: "StoreFailing", message: "500." };
    const first = healthOf({ mirror: mirror({ lagSteps: 30, lagSeconds: 700, lagBytes: 5, problem }) });
    expect(healthOf({ mirror: mirror({ lagSteps: 60, lagSeconds: 790, lagBytes: 9, problem }) })).toEqual(first);
  });

  const finished = (tiers: CheckpointSummary["tiers"]) => {
    const latestVerified = { ...checkpoint(100, 1, "a"), tiers };
    const record = served({ latestVerified, done: digest("a") });
    const over = podWith({
      status: {
        phase: "Succeeded",
        containerStatuses: [ended("trainer", 0, done)],
        initContainerStatuses: [ended("agent", 0, { message: JSON.stringify(record) })],
      },
    });
    return decideOn({ run: living({ spec: mirrored }), pods: [over] });
  };

  test("of a complete run says that its last checkpoint is not in the object store, and where it is", () => {
    const decision = finished(["Volume"]);
    expect(decision.status.state).toBe("Complete");
    const message = expect.stringMatching(
      /^The run is complete, but the bucket checkpoints lacks its last checkpoint, of step 100: .* copy data\/step-000000000100-\* from .* on the claim mnist-0123abcd,/,
    );
    expect(condition(decision, "CheckpointsHealthy")).toMatchObject({
      status: "False",
      reason: "FinalNotMirrored",
      message,
    });
    expect(decision.events).toContainEqual({ type: "Warning", reason: "FinalNotMirrored", message });
    const run = living({ spec: mirrored, status: decision.status as Fields });
    expect(condition(decideOn({ run }), "CheckpointsHealthy")).toMatchObject({ reason: "FinalNotMirrored" });
  });

  test("of a complete run whose last checkpoint is in the object store has nothing to say", () => {
    const decision = finished(["Volume", "ObjectStore"]);
    expect([decision.status.state, condition(decision, "CheckpointsHealthy")]).toEqual(["Complete", undefined]);
  });

  test("keeps naming what a restore could not read until an attempt has begun", () => {
    const past = { number: 1, generation: 1, pods: [], startTime: at(0), endTime: at(9), cause: "StorageUnavailable" };
    const entry = { ...past, charge: "Nothing", reason: "BucketMissing", message: "Cannot open checkpoints." };
    const run = living({ spec: mirrored, status: { attempts: [entry], retry: waiting } });
    expect(condition(decideOn({ run }), "CheckpointsHealthy")).toMatchObject({
      status: "False",
      reason: "BucketMissing",
      message: expect.stringContaining("Cannot open checkpoints. Create the bucket checkpoints"),
    });
  });
});

const waiting = { failures: 0, failuresLeft: 3, disruptions: 0, fruitless: 1, nextAttemptTime: at(3600) };

describe("the status of what is verified", () => {
  test("says in which tiers the newest one lies", () => {
    const both = { ...checkpoint(10, 1, "a"), tiers: ["Volume", "ObjectStore"] as const };
    const state = { latestVerified: { ...both, tiers: [...both.tiers] } };
    expect(decided(state).status.latestVerified).toMatchObject({ step: 10, tiers: ["Volume", "ObjectStore"] });
  });

  test("without a volume says that nothing is mirrored, not that nothing is verified", () => {
    const point = (spec: Fields) => condition(decided({}, spec), "ResumePointReady")?.message;
    expect(point(mirrored)).toBe("No checkpoint has been verified yet: an interruption now starts from step 0.");
    expect(point(ephemeral)).toBe(
      "No checkpoint has been mirrored yet, and the run has no volume: an interruption now starts from step 0.",
    );
  });
});

describe("GracePeriodSufficient", () => {
  const saves = { committed: 2, failed: 0, skipped: 0, lastSeconds: 5, lastBytes: 2000, stallSeconds: 0 };
  const progress: Progress = {
    version: 1,
    step: 40,
    targetStep: 100,
    epoch: 0,
    samples: 0,
    metrics: [],
    stepsPerSecond: 1,
    saves,
    backend: "wasm",
    time: at(40),
  };
  const grace = (bytesPerSecond: number, spec: Fields) =>
    condition(decided({ progress, mirror: mirror({ bytesPerSecond }) }, spec), "GracePeriodSufficient");

  test.each([
    ["the upload is too slow and there is no volume", 50, ephemeral, "False", "its upload about 50 s"],
    ["the upload fits as well", 100, ephemeral, "True", "Saves and their uploads seen so far fit"],
    ["the upload is too slow and there is a volume", 50, mirrored, "True", "Saves seen so far fit"],
  ])("where %s", (_, rate, spec, status, words) => {
    expect(grace(rate, spec)).toMatchObject({ status, message: expect.stringContaining(words) });
  });

  test.each([
    ["for the save and its upload", { mirror: mirror({ bytesPerSecond: 50 }) }, ephemeral, 60],
    ["in steps of half a minute where it is long", { mirror: mirror({ bytesPerSecond: 25 }) }, ephemeral, 120],
    ["never below what a run may have", {}, {}, 10],
  ])("says how long it has to be, with a quarter to spare: %s", (_, state, spec, seconds) => {
    const decision = decided({ progress, ...state }, spec);
    expect(decision.status.graceNeededSeconds).toBe(seconds);
    const { status, message } = condition(decision, "GracePeriodSufficient") ?? {};
    if (status === "False")
      expect(message).toContain(`spec.template.spec.terminationGracePeriodSeconds to ${seconds}.`);
    const silent = decideOn({ run: living({ spec, status: decision.status as Fields }), pods: [pod] });
    expect(silent.status.graceNeededSeconds).toBe(seconds);
  });

  test.each([
    [
      "a paced save is reckoned by the speed of its bytes",
      { lastSeconds: 90, lastBytes: 2000, bytesPerSecond: 1000 },
      "True",
    ],
    ["a save that takes a moment longer", { lastSeconds: 31, lastBytes: 30_100, bytesPerSecond: 1000 }, "False"],
    ["one that leaves the trainer no reserve", { lastSeconds: 31, lastBytes: 29_500, bytesPerSecond: 1000 }, "False"],
    ["a trainer that names no speed", { lastSeconds: 90, lastBytes: 2000 }, "False"],
  ])("of saves beside training: %s", (_, seen, status) => {
    const state = { progress: { ...progress, saves: { ...saves, ...seen } } };
    expect(condition(decided(state, {}), "GracePeriodSufficient")).toMatchObject({ status });
  });

  test("compares what was measured, and rounds only what it says", () => {
    const template = { spec: { containers: [{ name: "trainer" }], terminationGracePeriodSeconds: 14 } };
    const quick = { progress: { ...progress, saves: { ...saves, lastSeconds: 1.2 } } };
    const fits = decided({ ...quick, mirror: mirror({ bytesPerSecond: 200 }) }, { ...ephemeral, template });
    expect(condition(fits, "GracePeriodSufficient")).toMatchObject({ status: "True" });
    const slower = decided({ ...quick, mirror: mirror({ bytesPerSecond: 180 }) }, { ...ephemeral, template });
    expect(condition(slower, "GracePeriodSufficient")).toMatchObject({ status: "False" });
  });

  /** A run of which attempts have ended, the newest first, before the present one began. */
  const after = (...ends: Fields[]) => {
    const entries = ends.map((end, index) => ({
      ...{ number: ends.length - index, generation: 1, pods: [], startTime: at(0), endTime: at(9) },
      ...{ cause: "Drained", charge: "Disruption", ...end },
    }));
    const run = runWith({ metadata: held, status: { attempt: ends.length, attempts: entries, retry: waiting } });
    return condition(decideOn({ run }), "GracePeriodSufficient");
  };
  const timedOut = (graceSeconds?: number) => ({ finalCheckpoint: "TimedOut", graceUsedSeconds: "29", graceSeconds });
  const saved = { finalCheckpoint: "Saved", graceUsedSeconds: "4", graceSeconds: 30 };

  test.each([
    ["that timed out", [timedOut(30)], "False", "attempt 1 could not save in time"],
    ["that timed out, whose grace period is not on record", [timedOut()], "False", "attempt 1 could not save in time"],
    ["that timed out in less time than there is now", [timedOut(10)], "Unknown", "could not save in its 10 s"],
    ["that timed out before another saved", [saved, timedOut(30)], "True", "fit into"],
    ["that timed out after another saved", [timedOut(30), saved], "False", "attempt 2 could not save"],
    ["that was killed after one that timed out", [{ cause: "Crashed" }, timedOut(30)], "False", "attempt 1 could not"],
  ])("of an attempt %s", (_, ends, status, words) => {
    expect(after(...ends)).toMatchObject({ status, message: expect.stringContaining(words) });
  });

  test("of an attempt that timed out says to double what was not enough", () => {
    expect(after(timedOut(30))?.message).toContain("terminationGracePeriodSeconds to 60.");
  });

  test("is not known before an upload was seen, where only what is uploaded counts", () => {
    expect(grace(0, ephemeral)).toBeUndefined();
  });
});
