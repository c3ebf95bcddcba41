import { beforeEach, describe, expect, it, test } from "vitest";
import { checkpoint } from "../../test/records.ts";
import type { Condition } from "../api/conditions.ts";
import type { AttemptEntry, TrainingRunStatus } from "../api/status.ts";
import { HeldStatuses, type Weighed } from "./held-statuses.ts";

const time = "2026-01-01T00:00:00Z";
const condition = (type: string, status: Condition["status"], reason: string): Condition => {
  return { type, status, reason, message: reason, observedGeneration: 1, lastTransitionTime: time };
};
const starting = condition("Progressing", "False", "Starting");
const newest: AttemptEntry = { number: 2, generation: 1, pods: [{ uid: "pod-2" }], startTime: time };
const past: AttemptEntry = { number: 1, generation: 1, pods: [{ uid: "pod-1", node: "a" }], startTime: time };
const stored: TrainingRunStatus = {
  state: "Pending",
  attempt: 2,
  attempts: [newest, past],
  conditions: [starting],
};

const living = (fields: Partial<AttemptEntry>) => ({ attempts: [{ ...newest, ...fields }, past] });
const saying = (...more: readonly Condition[]) => ({ conditions: [starting, ...more] });
const weigh = (change: TrainingRunStatus, more: Partial<Weighed["decision"]> = {}): Weighed => {
  return { stored, decision: { status: { ...stored, ...change }, actions: [], events: [], ...more } };
};

describe("a status that is decided", () => {
  let now: number;
  let held: HeldStatuses;

  beforeEach(() => {
    now = 0;
    held = new HeldStatuses(() => now);
  });

  const leftMs = (weighed: Weighed) => held.leftMs("run", weighed);

  const telling: readonly [what: string, change: TrainingRunStatus][] = [
    ["how the run is, in a word", { state: "Restoring" }],
    ["whether it gets on, in other words", { conditions: [condition("Progressing", "True", "Training")] }],
    ["of something else in a condition", saying(condition("ResumePointReady", "True", "Verified"))],
    ["that there is a pod, which has no node", living({ pods: [{ uid: "pod-2" }, { uid: "pod-3", worker: 1 }] })],
    ["how long it took so far", living({ recoverySeconds: { schedule: "0.1" } })],
  ];
  test.each(telling)("waits for what comes next where it only tells %s", (_, change) => {
    expect(leftMs(weigh(change))).toBe(500);
  });

  const deciding: readonly [what: string, change: TrainingRunStatus][] = [
    ["a number", { attempt: 3, attempts: [{ ...newest, number: 3 }, newest, past] }],
    ["the node of a pod", living({ pods: [{ uid: "pod-2", node: "a" }] })],
    ["an end", living({ endTime: time })],
    ["that an attempt has opened the log", living({ opened: true })],
    ["what an ended one has lost", { attempts: [newest, { ...past, lostSteps: 3 }] }],
    ["a stop that pods are to be deleted by", { stop: { attempt: 2, cause: "Suspended", time } }],
    ["since when nothing is heard of a node", { silence: { attempt: 2, since: time, nodes: ["a"] } }],
    ["a fence", { fencedAttempt: 2 }],
    ["a budget", { retry: { failures: 1, failuresLeft: 2, disruptions: 0, fruitless: 1 } }],
    ["an edit", { observedGeneration: 2 }],
    ["a checkpoint", { latestVerified: checkpoint(7, 2, "a") }],
    ["that the run is over", saying(condition("Complete", "True", "TrainingDone"))],
  ];
  test.each(deciding)("is written at once, with all that it tells, where it has %s", (_, change) => {
    expect(leftMs(weigh({ state: "Running", ...change }))).toBe(0);
  });

  it("is written at once where something is done or told with it", () => {
    const deleted = { kind: "DeletePod", name: "mnist-2-0", uid: "pod-2" } as const;
    expect(leftMs(weigh({ state: "Saving" }, { actions: [deleted] }))).toBe(0);
    expect(leftMs(weigh({ state: "Saving" }, { events: [{ type: "Normal", reason: "A", message: "b" }] }))).toBe(0);
  });

  it("is held back half a second from the first of what it tells, however much follows", () => {
    expect(leftMs(weigh({ state: "Restoring" }))).toBe(500);
    now = 300;
    expect(leftMs(weigh({ state: "Running" }))).toBe(200);
    now = 500;
    expect(leftMs(weigh({ state: "Saving" }))).toBe(0);
    now = 501;
    expect(leftMs(weigh({ state: "Running" }))).toBe(500);
  });

  it("is forgotten where all is again as it stands, where it went with another, and with its run", () => {
    for (const end of [() => leftMs(weigh({})), () => leftMs(weigh({ attempt: 3 })), () => held.forget("run")]) {
      expect(leftMs(weigh({ state: "Restoring" }))).toBe(500);
      now += 100;
      end();
      expect(leftMs(weigh({ state: "Restoring" }))).toBe(500);
      held.forget("run");
    }
  });
});
