import { describe, expect, test } from "vitest";
import {
  dead,
  deleted,
  digest,
  disruption,
  done,
  failed,
  member as pod,
  preempted,
  served,
  skewed,
  text,
} from "../../test/ended-pods.ts";
import { at, ended, waiting } from "../../test/pod-builder.ts";
import { type Fields, start } from "../../test/run-builder.ts";
import type { AttemptEntry } from "../api/status.ts";
import { classify, type EndedAttempt, type Member, rows } from "./cause.ts";

const other = `sha256:${"b".repeat(64)}`;
const entry: AttemptEntry = { number: 1, generation: 1, pods: [], startTime: at(0) };

type Case = readonly [row: number, title: string, members: Member[], expected: Fields, attempt?: Partial<EndedAttempt>];

const cases: readonly Case[] = [
  [
    1,
    "a done record with the agent's verdict",
    [pod(dead(ended("trainer", 0, done), ended("agent", 0, served(digest))))],
    { cause: "Complete", charge: "Nothing" },
  ],
  [
    1,
    "a done record with the verdict, although a stop was written",
    [pod(dead(ended("trainer", 0, done), ended("agent", 0, served(digest))), deleted)],
    { cause: "Complete" },
    { stop: { attempt: 1, cause: "Suspended", time: at(0) } },
  ],
  [
    1,
    "a done record that the agent verified before it was killed and started again",
    [
      pod(
        dead(ended("trainer", 0, done), { ...ended("agent", 137), lastState: ended("agent", 1, served(digest)).state }),
      ),
    ],
    { cause: "Complete" },
  ],
  [
    2,
    "a done record without a verdict",
    [pod(dead(ended("trainer", 0, done), ended("agent", 0, served(null))))],
    { cause: "Unverified", charge: "Nothing", reason: "NoVerdict" },
  ],
  [
    2,
    "without a volume, a done record whose checkpoint was not uploaded in time",
    [pod(dead(ended("trainer", 0, done), ended("agent", 0, served(null))))],
    {
      cause: "Unverified",
      reason: "NotUploaded",
      message: expect.stringMatching(
        /the upload of its final checkpoint sha256:a+ to .* Raise template\.spec\.termination/,
      ),
    },
    { durability: "Ephemeral" },
  ],
  [
    2,
    "a done record with a verdict on another checkpoint",
    [pod(dead(ended("trainer", 0, done), ended("agent", 0, served(other))))],
    { cause: "Unverified" },
  ],
  [
    2,
    "the third end in a row without a verdict",
    [pod(dead(ended("trainer", 0, done)))],
    { cause: "Unverified", charge: "Failure" },
    {
      earlier: [
        { ...entry, cause: "Unverified" },
        { ...entry, cause: "Unverified" },
      ],
    },
  ],
  [
    3,
    "a suspension of ours, ending in 143",
    [pod(dead(ended("trainer", 143)), deleted)],
    { cause: "Suspended", charge: "Nothing" },
    { stop: { attempt: 1, cause: "Suspended", time: at(0) } },
  ],
  [
    3,
    "a stall that we ended",
    [pod(dead(ended("trainer", 143)), deleted)],
    { cause: "Stalled", charge: "Failure" },
    { stop: { attempt: 1, cause: "Stalled", time: at(0) } },
  ],
  [
    4,
    "a preemption",
    [pod(dead(ended("trainer", 143), undefined, { conditions: disruption("PreemptionByScheduler") }), deleted)],
    { cause: "Preempted", charge: "Disruption", exitCode: 143 },
  ],
  [
    4,
    "a pod gone without a trace",
    [{ kind: "Gone", uid: "x", bound: true, node: undefined }],
    { cause: "Deleted", reason: "GoneWithoutTrace" },
  ],
  [
    4,
    "a crash of one member of a gang while another is preempted",
    [
      pod(dead(ended("trainer", 1))),
      pod(dead(ended("trainer", 143), undefined, { conditions: disruption("PreemptionByScheduler") })),
    ],
    { cause: "Preempted", charge: "Disruption" },
  ],
  [
    5,
    "a pod the kubelet refused",
    [pod({ phase: "Failed", reason: "UnexpectedAdmissionError", message: "no GPU" })],
    { cause: "Rejected", charge: "Disruption", reason: "UnexpectedAdmissionError", message: "no GPU" },
  ],
  [
    6,
    "nothing verifies",
    [pod(dead(ended("trainer", 143), ended("agent", 1, failed("NoVerifiedCheckpoint"))))],
    { cause: "NoVerifiedCheckpoint", charge: "Terminal" },
  ],
  [
    6,
    "nothing verifies and the user would start over",
    [pod(dead(ended("trainer", 143), ended("agent", 1, failed("NoVerifiedCheckpoint"))))],
    { cause: "NoVerifiedCheckpoint", charge: "Nothing" },
    { noneVerified: "StartOver" },
  ],
  [
    6,
    "a checkpoint of the user's choice is not there",
    [pod(dead(ended("trainer", 143), ended("agent", 1, failed("NoVerifiedCheckpoint"))))],
    { cause: "NoVerifiedCheckpoint", charge: "Nothing" },
    { entry: { ...entry, from: '{"step":7}' } },
  ],
  [
    6,
    "a tier that cannot be read",
    [pod(dead(ended("trainer", 143), ended("agent", 1, failed("StorageUnavailable"))))],
    { cause: "StorageUnavailable", charge: "Nothing", reason: "StorageUnavailable" },
  ],
  [
    6,
    "an object store that cannot be read, by the word for its problem",
    [pod(dead(ended("trainer", 143), ended("agent", 1, failed("StorageUnavailable", "BucketMissing"))))],
    { cause: "StorageUnavailable", charge: "Nothing", reason: "BucketMissing" },
  ],
  [
    6,
    "a verdict that a restarted agent left in its last state",
    [
      pod(
        dead(ended("trainer", 143), {
          ...waiting("agent", ""),
          lastState: ended("agent", 1, failed("NodeSuspect")).state,
        }),
      ),
    ],
    { cause: "NodeSuspect", charge: "Nothing", message: "words of NodeSuspect" },
  ],
  [
    6,
    "a number that another pod opened",
    [pod(dead(ended("trainer", 143), ended("agent", 1, failed("Fenced"))))],
    { cause: "Fenced", charge: "Nothing" },
  ],
  [
    6,
    "a defect of the agent, which is no reason to try for ever",
    [pod(dead(ended("trainer", 143), ended("agent", 1, failed("AgentDefect"))))],
    { cause: "Crashed", charge: "Failure", reason: "AgentDefect", message: "words of AgentDefect" },
  ],
  [
    6,
    "records of the log that stay unreadable",
    [pod(dead(ended("trainer", 143), ended("agent", 1, failed("LogUnreadable"))))],
    { cause: "Crashed", charge: "Failure", reason: "LogUnreadable", message: "words of LogUnreadable" },
  ],
  [
    7,
    "an environment that the policy blocks",
    [pod(dead(ended("trainer", 143), ended("agent", 1, failed("Incompatible"))))],
    { cause: "Incompatible", charge: "Terminal" },
  ],
  [
    7,
    "a trainer that cannot load the checkpoint",
    [
      pod(
        dead(
          ended(
            "trainer",
            1,
            text({ kind: "incompatible", attempt: 1, checkpoint: digest, message: "shape [2] against [3]" }),
          ),
        ),
      ),
    ],
    { cause: "Incompatible", charge: "Terminal", message: "shape [2] against [3]" },
  ],
  [
    8,
    "a rule that ends the run",
    [pod(dead(ended("trainer", 42)))],
    { cause: "ByRule", charge: "Terminal", exitCode: 42 },
    { rules: [{ exitCodes: [42], action: "Fail" }] },
  ],
  [
    8,
    "the first of two rules",
    [pod(dead(ended("trainer", 42)))],
    { cause: "ByRule", charge: "Disruption" },
    {
      rules: [
        { exitCodes: [42], action: "Ignore" },
        { exitCodes: [42], action: "Fail" },
      ],
    },
  ],
  [
    9,
    "the memory limit",
    [pod(dead(ended("trainer", 137, { reason: "OOMKilled" })))],
    { cause: "OutOfMemory", charge: "Failure", exitCode: 137 },
  ],
  ...[
    'Usage of EmptyDir volume "scratch" exceeds the limit "1Mi". ',
    "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ",
    'Container trainer exceeded its local ephemeral storage limit "1Gi". ',
  ].map(
    (message): Case => [
      9,
      `a storage limit of its own: ${message}`,
      [pod(dead(ended("trainer", 143, preempted), undefined, { reason: "Evicted", message }))],
      { cause: "Crashed", charge: "Failure", reason: "Evicted", message: message.trim(), exitCode: 143 },
    ],
  ),
  [
    4,
    "a storage limit of its own, and a node that wants it gone as well",
    [
      pod(
        dead(ended("trainer", 143), undefined, {
          reason: "Evicted",
          message: 'Usage of EmptyDir volume "scratch" exceeds the limit "1Mi". ',
          conditions: disruption("EvictionByEvictionAPI"),
        }),
      ),
    ],
    { cause: "Drained", charge: "Disruption" },
  ],
  [
    4,
    "a node that lacks storage",
    [
      pod(
        dead(ended("trainer", 137), undefined, {
          reason: "Evicted",
          message: "The node was low on resource: ephemeral-storage. Container trainer was using 2Gi, request is 0. ",
        }),
      ),
    ],
    { cause: "NodePressure", charge: "Disruption" },
  ],
  [
    10,
    "exit 0 without a word",
    [pod(dead(ended("trainer", 0)))],
    { cause: "Incomplete", charge: "Failure", exitCode: 0 },
  ],
  [
    10,
    "exit 0 with another attempt's done record",
    [pod(dead(ended("trainer", 0, text({ kind: "done", attempt: 9, step: 1, checkpoint: digest, metrics: [] }))))],
    { cause: "Incomplete" },
  ],
  [
    11,
    "a crash",
    [pod(dead(ended("trainer", 1, { message: "Traceback" })))],
    { cause: "Crashed", charge: "Failure", reason: "NonZeroExit", message: "Traceback", exitCode: 1 },
  ],
  [
    11,
    "a crash beside an agent whose first restore failed, and that was started again and killed",
    [
      pod(
        dead(ended("trainer", 1), {
          ...ended("agent", 137),
          lastState: ended("agent", 1, failed("StorageUnavailable")).state,
        }),
      ),
    ],
    { cause: "Crashed", charge: "Failure" },
  ],
  [
    11,
    "a crash after a suspension was written and before the pod was deleted",
    [pod(dead(ended("trainer", 1)))],
    { cause: "Crashed", charge: "Failure" },
    { stop: { attempt: 1, cause: "Suspended", time: at(0) } },
  ],
  [
    4,
    "node pressure after a suspension was written and before the pod was deleted",
    [pod(dead(ended("trainer", 137), undefined, { reason: "Evicted" }))],
    { cause: "NodePressure", charge: "Disruption" },
    { stop: { attempt: 1, cause: "Suspended", time: at(0) } },
  ],
  [
    9,
    "the memory limit, and a deletion long after it",
    [pod(dead(ended("trainer", 137, { reason: "OOMKilled" })), skewed)],
    { cause: "OutOfMemory", charge: "Failure" },
  ],
  [11, "a SIGKILL that nobody asked for", [pod(dead(ended("trainer", 137)))], { cause: "Crashed", charge: "Failure" }],
  [
    11,
    "a SIGTERM of which another attempt wrote",
    [pod(dead(ended("trainer", 143, text({ ...JSON.parse(preempted.message), attempt: 9 }))))],
    { cause: "Crashed", charge: "Failure" },
  ],
  [
    11,
    "a crash, and a deletion a second later",
    [pod(dead(ended("trainer", 1)), { deletionTimestamp: at(131), deletionGracePeriodSeconds: 30 })],
    { cause: "Crashed" },
  ],
];

describe("how an attempt ended", () => {
  const named = cases.map(([row, title, members, expected, attempt = {}]) => ({
    row,
    title,
    members,
    expected,
    attempt,
  }));

  const unstopped = {
    number: 1,
    stop: undefined,
    entry,
    earlier: [],
    rules: [],
    noneVerified: "Fail",
    durability: "Durable",
  } as const;

  test.each(named)("row $row: $title", ({ row, members, expected, attempt }) => {
    const whole: EndedAttempt = { ...unstopped, members, ...attempt };
    expect(classify(whole)).toMatchObject(expected);
    const first = rows.findIndex(({ match }) => members.some((member) => match(member, whole) !== null));
    expect(first + 1).toBe(row);
  });

  test.each(named.filter(({ attempt }) => attempt.stop === undefined))(
    "row $row, $title: costs the same once we have stopped what was left of the pod",
    ({ members, attempt }) => {
      const whole: EndedAttempt = { ...unstopped, members, ...attempt };
      const before = classify(whole);
      const stop = { attempt: 1, ...before, reason: before.reason || before.cause, time: at(110) };
      const deleted = members.map((member) =>
        member.kind === "Gone" ? member : { ...member, pod: { ...member.pod, deletionRequestedAt: start + 110_000 } },
      );
      const after = classify({ ...whole, members: deleted, stop });
      expect([after.cause, after.charge, after.exitCode]).toEqual([before.cause, before.charge, before.exitCode]);
    },
  );

  test("every row has a case", () => {
    expect([...new Set(cases.map(([row]) => row))]).toEqual(rows.map((_, index) => index + 1));
  });
});
