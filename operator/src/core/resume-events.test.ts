import type { ReplayVerdict, ResumeReport } from "@trainingrun/checkpoint/contract/resume.ts";
import { describe, expect, test } from "vitest";
import { decideOn, living, observedWith } from "../../test/observed-builder.ts";
import { ended, podWith, running } from "../../test/pod-builder.ts";
import { answer, progress, served } from "../../test/records.ts";
import { start } from "../../test/run-builder.ts";
import { settings } from "../../test/world.ts";
import { parseTrainingRun } from "../api/training-run.ts";
import { decide } from "./decide.ts";

const pod = podWith({ status: { containerStatuses: [running("trainer")], initContainerStatuses: [running("agent")] } });
const environment = {
  policy: "Warn",
  total: 6,
  differences: [
    { member: "backend", before: "tensorflow-gpu", now: "wasm" },
    { member: "driver", before: "535.104.05" },
    { member: "image", before: "a", now: "b" },
    { member: "packages.left", now: "1" },
    { member: "runtime.node", before: "24.1.0", now: "24.2.0" },
  ],
} satisfies ResumeReport["environment"];
const partial = {
  loaded: 2,
  skipped: 5,
  missing: ["top/bias"],
  unexpected: ["head/bias"],
  reshaped: [],
  optimizerTensors: 4,
};
const replay = (verdict: Partial<ReplayVerdict>): ReplayVerdict => {
  return { asked: 9, recorded: 5, compared: 5, result: "BitExact", tolerance: "0.001", ...verdict };
};
const differs = { result: "Differs", firstDifference: 41, largestDifference: "0.02" } as const;

/** What is decided when the agent tells of a trainer that took its checkpoint up like this; `known` is on record. */
function decided(resume: ResumeReport, known: ResumeReport = {}) {
  const report = { podUid: "pod-1", receivedAt: start, state: answer({ progress: progress({ resume }) }) };
  return decideOn({ run: living({ entry: known }), pods: [pod], reports: [report] });
}

const reasons = ["EnvironmentDiffers", "PartiallyLoaded", /^Replay/];
const told = (...given: Parameters<typeof decided>) =>
  decided(...given).events.filter(({ reason }) => reasons.some((each) => reason.match(each) !== null));

describe("how a checkpoint was taken up", () => {
  test("stands in the ledger as the trainer tells it", () => {
    const { status } = decided({ environment, partial, replay: replay({ compared: 2 }) });
    expect(status.attempts?.[0]).toMatchObject({ environment, partial, replay: replay({ compared: 2 }) });
  });

  test("stands there as well where nobody polled, by the agent's record", () => {
    const record = served({ resume: { environment, replay: replay(differs) } });
    const gone = podWith({
      status: {
        containerStatuses: [ended("trainer", 1)],
        initContainerStatuses: [ended("agent", 0, { message: JSON.stringify(record) })],
      },
    });
    const { status, events } = decideOn({ run: living(), pods: [gone] });
    expect(status.attempts?.find(({ number }) => number === 1)).toMatchObject({ environment, replay: replay(differs) });
    expect(events.map(({ reason }) => reason)).toEqual(expect.arrayContaining(["EnvironmentDiffers", "ReplayDiffers"]));
  });

  test("is accepted by the resource's own schema, and kept", () => {
    const { status } = decided({ environment, partial, replay: replay(differs) });
    const parsed = parseTrainingRun({
      ...living(),
      apiVersion: "trainingrun.dev/v1alpha1",
      kind: "TrainingRun",
      status,
    });
    expect(parsed).toMatchObject({ kind: "Run", run: { status: { attempts: status.attempts } } });
  });

  test("is written once: the same answer changes nothing more", () => {
    const first = decided({ environment, partial, replay: replay({}) });
    const run = { ...living(), status: first.status };
    const report = {
      podUid: "pod-1",
      receivedAt: start,
      state: answer({ progress: progress({ resume: { environment, partial, replay: replay({}) } }) }),
    };
    const again = decide(observedWith({ run, pods: [pod], reports: [report] }), settings);
    expect([again.status, again.events]).toEqual([first.status, []]);
  });
});

describe("an event tells", () => {
  const both =
    "Attempt 1 resumed in another environment than the one that saved its checkpoint: backend was tensorflow-gpu and is " +
    "wasm; driver was 535.104.05 and is unknown; image was a and is b; packages.left was not recorded and is 1; and 2 more.";
  test.each([
    ["nothing of the same environment", { environment: { policy: "Warn", total: 0, differences: [] } }, []],
    ["nothing of another one that is to be ignored", { environment: { ...environment, policy: "Ignore" } }, []],
    ["both sides of another environment", { environment }, [["Warning", "EnvironmentDiffers", both]]],
    [
      "what a partial load skipped",
      { partial },
      [
        [
          "Warning",
          "PartiallyLoaded",
          "Attempt 1 loaded 2 weights of its checkpoint and skipped 5, with 4 tensors of the optimizer, as resume.partial allows: top/bias, head/bias, and 3 more.",
        ],
      ],
    ],
    ["nothing of a replay that goes on", { replay: replay({ compared: 4 }) }, []],
    [
      "a replay that is bit-exact",
      { replay: replay({}) },
      [["Normal", "ReplayBitExact", "Attempt 1 computed 5 of 5 recorded steps (9 asked for) again, to the same bits."]],
    ],
    [
      "a replay within the tolerance",
      { replay: replay({ result: "WithinTolerance", firstDifference: 41, largestDifference: "2e-7" }) },
      [
        [
          "Normal",
          "ReplayWithinTolerance",
          "Attempt 1 computed 5 of 5 recorded steps (9 asked for) again: from step 41 on in other bits, with losses apart by up to 2e-7 of their size (tolerance 0.001).",
        ],
      ],
    ],
    [
      "a replay that differs, before it is through",
      { replay: replay({ ...differs, compared: 1 }) },
      [
        [
          "Warning",
          "ReplayDiffers",
          "Attempt 1 did not repeat what was recorded: 1 of 5 recorded steps (9 asked for) computed again, from step 41 on in other bits, with losses apart by up to 0.02 of their size (tolerance 0.001). Look for random numbers, data order or an environment that the checkpoint does not restore.",
        ],
      ],
    ],
    [
      "that nothing was on record to compare with",
      { replay: replay({ recorded: 0, compared: 0, result: "NothingRecorded" }) },
      [
        [
          "Normal",
          "ReplayNotRecorded",
          "Attempt 1 had nothing to compare: none of the 9 steps after its checkpoint is on record.",
        ],
      ],
    ],
    [
      "that the record could not be read, and why",
      { replay: replay({ recorded: 0, compared: 0, result: "NothingRecorded", unreadable: "EIO: i/o error, read" }) },
      [
        [
          "Normal",
          "ReplayNotRecorded",
          "Attempt 1 had nothing to compare: the record of the 9 steps after its checkpoint cannot be read: EIO: i/o error, read.",
        ],
      ],
    ],
  ] satisfies [string, ResumeReport, string[][]][])("%s", (_, resume, expected) => {
    expect(told(resume).map(({ type, reason, message }) => [type, reason, message])).toEqual(expected);
    expect(told(resume, resume)).toEqual([]);
  });

  test("a difference that comes late", () => {
    const before = { replay: replay({ compared: 2 }) };
    expect(told({ replay: replay({ ...differs, compared: 3 }) }, before)).toHaveLength(1);
  });

  test("that it differs once, although the comparison goes on to its end", () => {
    const before = { replay: replay({ ...differs, compared: 3 }) };
    expect(told({ replay: replay(differs) }, before)).toEqual([]);
  });
});
