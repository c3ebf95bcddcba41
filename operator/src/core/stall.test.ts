import type { AgentState, StallState } from "@trainingrun/checkpoint/contract/agent-state.ts";
import { describe, expect, test } from "vitest";
import { dead, done } from "../../test/ended-pods.ts";
import { condition, decideOn, kinds, living } from "../../test/observed-builder.ts";
import { at, ended, podWith, running, waiting } from "../../test/pod-builder.ts";
import { answer, digest, progress, served } from "../../test/records.ts";
import { type Fields, runWith, start } from "../../test/run-builder.ts";
import { podHash } from "./pod-hash.ts";

const spec = { stall: { timeoutSeconds: 900 } };
const stall: StallState = { step: 10, seconds: 900.4, dump: "at spin (train.mjs:3:1)" };
const both = { containerStatuses: [running("trainer")], initContainerStatuses: [running("agent")] };
const training = podWith({ status: both });
const told = (over: Partial<AgentState> = {}, podUid = "pod-1") => ({
  podUid,
  receivedAt: start + 59_000,
  state: answer({ stall, progress: progress(), ...over }),
});
const entryOf = (status: Fields, number = 1) =>
  (status.attempts as { number: number }[]).find((entry) => entry.number === number);

describe("a trainer that does no step any more", () => {
  test("is stopped as Stalled, with what its process was doing in the ledger, in one write", () => {
    const decision = decideOn({ run: living({ spec }), pods: [training], reports: [told()] });
    expect(decision.status).toMatchObject({
      state: "Saving",
      stop: {
        attempt: 1,
        cause: "Stalled",
        reason: "NoStep",
        message:
          "No step was done after step 10 for 900 s, by spec.stall. The attempt's dump says what its process was doing.",
      },
      attempts: [{ number: 1, dump: "at spin (train.mjs:3:1)" }],
    });
    expect(kinds(decision)).toEqual(["DeletePod"]);
    expect(condition(decision, "Progressing")).toMatchObject({ status: "False", reason: "Stopping" });
  });

  test("after its last step is stopped in words of its own", () => {
    const late: StallState = { step: 100, seconds: 1500.2, dump: null, expects: "End" };
    const decision = decideOn({ run: living({ spec }), pods: [training], reports: [told({ stall: late })] });
    expect(decision.status.stop).toMatchObject({
      cause: "Stalled",
      reason: "NoEnd",
      message:
        "The training did not come to its end in 1500 s after its last step, 100, by spec.stall: its last evaluation or its final save hangs. Raise spec.stall.timeoutSeconds if it only takes long.",
    });
  });

  const deleted = { deletionTimestamp: at(90), deletionGracePeriodSeconds: 30 };
  test.each<[string, Parameters<typeof decideOn>[0]]>([
    ["of a run that watches for no stall", { run: living(), pods: [training], reports: [told()] }],
    ["in another pod", { run: living({ spec }), pods: [training], reports: [told({}, "pod-0")] }],
    ["in another attempt", { run: living({ spec }), pods: [training], reports: [told({ attempt: 2 })] }],
    [
      "whose pod somebody else has deleted",
      { run: living({ spec }), pods: [podWith({ metadata: deleted, status: both })], reports: [told()] },
    ],
    [
      "that has not begun",
      {
        run: living({ spec }),
        pods: [podWith({ status: { ...both, containerStatuses: [waiting("trainer", "PodInitializing")] } })],
        reports: [told()],
      },
    ],
  ])("and one %s is not", (_, observed) => {
    const { status } = decideOn(observed);
    expect(status.stop).toBeUndefined();
    expect(entryOf(status)).not.toMatchObject({ cause: "Stalled" });
  });

  test("that had ended by itself meanwhile ended for its own reason", () => {
    const crashed = podWith({
      status: { ...both, containerStatuses: [ended("trainer", 3, { finishedAt: at(50) })] },
    });
    const { status } = decideOn({ run: living({ spec }), pods: [crashed], reports: [told()] });
    expect(status.stop?.cause).not.toBe("Stalled");
  });
});

describe("the end of an attempt that was stopped as stalled", () => {
  const run = living({ spec });
  const { status } = decideOn({ run, pods: [training], reports: [told()] });
  const over = (...containers: Parameters<typeof dead>) =>
    podWith({ metadata: { deletionTimestamp: at(150), deletionGracePeriodSeconds: 30 }, status: dead(...containers) });
  const after = (pod: ReturnType<typeof over>) => decideOn({ run: { ...run, status }, pods: [pod] }).status;

  test("is a failure, counted among the stalls, and another attempt follows after a back-off", () => {
    const settled = after(over(ended("trainer", 137), ended("agent", 0)));
    expect(settled).toMatchObject({
      state: "Backoff",
      retry: { failures: 1, failuresLeft: 2 },
      totals: { stalls: 1, failures: 1, disruptions: 0 },
    });
    expect(entryOf(settled)).toMatchObject({
      cause: "Stalled",
      charge: "Failure",
      reason: "NoStep",
      dump: "at spin (train.mjs:3:1)",
    });
  });

  test("is Complete where the trainer came to its end on the way", () => {
    const verdict = { message: JSON.stringify(served({ done: digest("a") })) };
    expect(entryOf(after(over(ended("trainer", 0, done), ended("agent", 0, verdict))))).toMatchObject({
      cause: "Complete",
    });
  });
});

test("an edit of spec.stall changes the pods, and a run without it has the pods it had before", () => {
  const hashes = [{}, spec, { stall: { timeoutSeconds: 60 } }].map((fields) => podHash(runWith({ spec: fields })));
  expect(new Set(hashes).size).toBe(3);
  // As attempts carry it that began before there was a watch: an upgrade supersedes none of them (I11).
  expect(hashes[0]).toBe("8f6dc07c5b7b5d2d");
});
