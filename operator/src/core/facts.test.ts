import type { AgentRecord, TrainerRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { describe, expect, test } from "vitest";
import { ended, podWith, running } from "../../test/pod-builder.ts";
import { answer, checkpoint, digest, served } from "../../test/records.ts";
import { start } from "../../test/run-builder.ts";
import { factsOf } from "./facts.ts";

const ten = checkpoint(10, 1, "a");
const both = { ...ten, tiers: ["Volume" as const, "ObjectStore" as const] };
const preempted: TrainerRecord = {
  kind: "preempted",
  attempt: 1,
  step: 10,
  finalCheckpoint: "Saved",
  checkpoint: digest("a"),
  graceUsedSeconds: 2,
};
const done: TrainerRecord = { kind: "done", attempt: 1, step: 10, checkpoint: digest("a"), metrics: [] };

/** A pod whose trainer has left a record, and its agent one as well where it has ended. */
function podOf(trainer: TrainerRecord, agent: AgentRecord | null) {
  return podWith({
    status: {
      containerStatuses: [ended("trainer", 143, { message: JSON.stringify(trainer) })],
      initContainerStatuses: [
        agent === null ? running("agent") : ended("agent", 0, { message: JSON.stringify(agent) }),
      ],
    },
  });
}

describe("the final checkpoint of a pod without a volume", () => {
  test.each([
    ["is saved once the agent's record has it", preempted, served({ latestVerified: both }), "Saved"],
    [
      "was not uploaded in time where the record has an older one",
      preempted,
      served({ latestVerified: { ...both, digest: digest("b") } }),
      "TimedOut",
    ],
    ["was not uploaded in time where the record has none", preempted, served({}), "TimedOut"],
    ["is not known while the agent uploads", preempted, null, null],
    ["of a finished run is not known either", done, null, null],
    ["of a finished run is saved once the agent's record has it", done, served({ latestVerified: both }), "Saved"],
    ["that the trainer could not save stays so", { ...preempted, finalCheckpoint: "Failed" } as const, null, "Failed"],
  ])("%s", (_, trainer, agent, expected) => {
    expect(factsOf(podOf(trainer, agent), undefined, "Ephemeral").finalCheckpoint).toBe(expected);
  });

  test("needs no upload where there is one", () => {
    expect(factsOf(podOf(preempted, null), undefined, "Durable").finalCheckpoint).toBe("Saved");
  });
});

const again = { ...checkpoint(10, 2, "b"), tiers: ["Volume" as const] };

test.each([
  ["of one checkpoint the one that knows of more copies", ten, both, both],
  ["of one step the later save of it, though it has fewer copies", again, both, again],
  ["of one step the later save of it, which was seen", both, again, again],
])("of two accounts %s is taken", (_, record, polled, latest) => {
  const restarted = podWith({
    status: {
      containerStatuses: [running("trainer")],
      initContainerStatuses: [
        {
          ...running("agent"),
          lastState: ended("agent", 1, { message: JSON.stringify(served({ latestVerified: record })) }).state,
        },
      ],
    },
  });
  const report = { podUid: "pod-1", receivedAt: start, state: answer({ latestVerified: polled }) };
  expect(factsOf(restarted, report).latestVerified).toEqual(latest);
});
