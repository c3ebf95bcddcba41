import { describe, expect, test } from "vitest";
import { at, ended, podWith, running, waiting } from "../../test/pod-builder.ts";
import type { Fields } from "../../test/run-builder.ts";
import type { AttemptEntry } from "../api/status.ts";
import { classify, type EndedAttempt, type Member, rows } from "./cause.ts";
import type { ObservedNode } from "./observed.ts";

const digest = `sha256:${"a".repeat(64)}`;
const other = `sha256:${"b".repeat(64)}`;
const text = (record: unknown) => ({ message: JSON.stringify(record) });
const done = text({ kind: "done", attempt: 1, step: 100, checkpoint: digest, metrics: [] });
const served = (verdict: string | null) =>
  text({
    kind: "served",
    attempt: 1,
    latestVerified: null,
    best: null,
    done: verdict,
    refused: [],
    verificationFailures: 0,
  });
const preempted = text({
  kind: "preempted",
  attempt: 1,
  step: 7,
  finalCheckpoint: "Saved",
  checkpoint: digest,
  graceUsedSeconds: 1,
});
const failed = (failure: string) =>
  text({ kind: "restore-failed", attempt: 1, failure, message: `words of ${failure}`, refused: [] });
const disruption = (reason: string) => [{ type: "DisruptionTarget", status: "True", reason, message: "said so" }];
const entry: AttemptEntry = { number: 1, generation: 1, pods: [], startTime: at(0) };

function pod(status: Fields, metadata: Fields = {}, node?: ObservedNode): Member {
  return { kind: "Pod", pod: podWith({ status, metadata }), node, report: undefined };
}

function dead(trainer: Fields, agent: Fields = ended("agent", 0), rest: Fields = {}): Fields {
  return { phase: "Failed", containerStatuses: [trainer], initContainerStatuses: [agent], ...rest };
}

const deleted = { deletionTimestamp: at(130), deletionGracePeriodSeconds: 30 };
/** Deleted, by the API server's clock, a minute after the trainer ended by the node's. */
const skewed = { deletionTimestamp: at(190), deletionGracePeriodSeconds: 30 };
const absent: ObservedNode = {
  name: "node-a",
  presence: "Absent",
  ready: "Unknown",
  readySince: null,
  outOfService: false,
};

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
    2,
    "a done record without a verdict",
    [pod(dead(ended("trainer", 0, done), ended("agent", 0, served(null))))],
    { cause: "Unverified", charge: "Nothing" },
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
    "an eviction through the API",
    [pod(dead(ended("trainer", 143), undefined, { conditions: disruption("EvictionByEvictionAPI") }), deleted)],
    { cause: "Drained" },
  ],
  [
    4,
    "a taint that drives pods away",
    [pod(dead(ended("trainer", 143), undefined, { conditions: disruption("DeletionByTaintManager") }), deleted)],
    { cause: "NodeLost" },
  ],
  [
    4,
    "a pod collected after its node",
    [pod(dead(running("trainer"), running("agent"), { conditions: disruption("DeletionByPodGC") }))],
    { cause: "NodeLost" },
  ],
  [
    4,
    "node pressure",
    [
      pod(
        dead(ended("trainer", 137), undefined, { reason: "Evicted", conditions: disruption("TerminationByKubelet") }),
      ),
    ],
    { cause: "NodePressure" },
  ],
  [
    4,
    "node pressure without the condition",
    [pod(dead(ended("trainer", 137), undefined, { reason: "Evicted" }))],
    { cause: "NodePressure", reason: "Evicted" },
  ],
  [
    4,
    "a node that shuts down",
    [
      pod(
        dead(ended("trainer", 143), undefined, {
          reason: "Terminated",
          conditions: disruption("TerminationByKubelet"),
        }),
      ),
    ],
    { cause: "NodeShutdown" },
  ],
  [
    4,
    "a kubelet that makes room for a critical pod",
    [pod(dead(ended("trainer", 143), undefined, { reason: "Preempting" }))],
    { cause: "Preempted" },
  ],
  [
    4,
    "a deletion by somebody",
    [pod(dead(ended("trainer", 143)), deleted)],
    { cause: "Deleted", charge: "Disruption" },
  ],
  [
    4,
    "an exit in the very second of a deletion",
    [pod(dead(ended("trainer", 1)), { deletionTimestamp: at(130), deletionGracePeriodSeconds: 30 })],
    { cause: "Deleted" },
  ],
  [
    4,
    "a deletion by somebody, although the node's clock says the trainer ended before it",
    [pod(dead(ended("trainer", 143)), skewed)],
    { cause: "Deleted", charge: "Disruption" },
  ],
  [
    4,
    "a trainer killed at the end of its grace period on a node whose clock is late",
    [pod(dead(ended("trainer", 137)), skewed)],
    { cause: "Deleted" },
  ],
  [
    4,
    "a trainer that wrote that it was stopped and ended in its own way on a node whose clock is late",
    [pod(dead(ended("trainer", 1, preempted)), skewed)],
    { cause: "Deleted", exitCode: 1 },
  ],
  [
    4,
    "a SIGTERM that came with no deletion and no word of the node",
    [pod(dead(ended("trainer", 143, preempted)))],
    { cause: "Signalled", charge: "Disruption", reason: "SignalReceived", exitCode: 143 },
  ],
  [
    4,
    "a node that was started again under its containers",
    [pod(dead(ended("trainer", 255, { reason: "Unknown" })))],
    { cause: "NodeLost", reason: "Unknown" },
  ],
  [
    4,
    "a node that was deleted",
    [pod({ phase: "Running", containerStatuses: [running("trainer")] }, {}, absent)],
    { cause: "NodeLost", reason: "NodeGone" },
  ],
  [
    4,
    "a node that a person took out of service",
    [pod({ phase: "Running" }, {}, { ...absent, presence: "Present", outOfService: true })],
    { cause: "NodeLost", reason: "NodeOutOfService" },
  ],
  [
    4,
    "a container that its node lost track of",
    [pod(dead(ended("trainer", 137, { reason: "ContainerStatusUnknown" })))],
    { cause: "NodeLost" },
  ],
  [4, "a pod gone without a trace", [{ kind: "Gone", uid: "x" }], { cause: "Deleted", reason: "GoneWithoutTrace" }],
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
    { cause: "StorageUnavailable", charge: "Nothing" },
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

  test.each(named)("row $row: $title", ({ row, members, expected, attempt }) => {
    const unstopped = {
      number: 1,
      members,
      stop: undefined,
      entry,
      earlier: [],
      rules: [],
      noneVerified: "Fail",
    } as const;
    const whole: EndedAttempt = { ...unstopped, ...attempt };
    expect(classify(whole)).toMatchObject(expected);
    const first = rows.findIndex(({ match }) => members.some((member) => match(member, whole) !== null));
    expect(first + 1).toBe(row);
  });

  test("every row has a case", () => {
    expect([...new Set(cases.map(([row]) => row))]).toEqual(rows.map((_, index) => index + 1));
  });
});
