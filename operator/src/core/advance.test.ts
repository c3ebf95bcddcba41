import type { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import { finalSavePatienceSeconds } from "@trainingrun/checkpoint/contract/save-patience.ts";
import { describe, expect, test } from "vitest";
import { nodeWith } from "../../test/ended-pods.ts";
import { condition, decideOn, living } from "../../test/observed-builder.ts";
import { at, podWith, running } from "../../test/pod-builder.ts";
import { answer, progress } from "../../test/records.ts";
import { type Fields, start } from "../../test/run-builder.ts";
import type { AgentReport, Observed } from "./observed.ts";

const training = podWith({
  status: { containerStatuses: [running("trainer")], initContainerStatuses: [running("agent")] },
});
const minutes = (count: number) => start + count * 60_000;

/** What the agent of pod-1 says of a step, heard `step` minutes after the start, and answering until `heard`. */
const telling = (step: number, { pace = 1, heard }: { pace?: number; heard?: number } = {}): AgentReport => ({
  podUid: "pod-1",
  receivedAt: minutes(step),
  ...(heard === undefined ? {} : { heardAt: minutes(heard) }),
  state: answer({ progress: progress({ step, stepsPerSecond: pace, firstStep: { step: 1, time: at(3600) } }) }),
});

/** The status of attempt 1 after its agent has told of a step. */
const after = (report: AgentReport, entry: Fields = {}) =>
  living({
    status: decideOn({ run: living({ entry }), pods: [training], reports: [report], now: report.receivedAt }).status,
  });

/** What is said of the run, and when it is looked at again, so many minutes after the start. */
function saidAt(count: number, observed: Partial<Observed>) {
  const decision = decideOn({ pods: [training], now: minutes(count), ...observed });
  const { status, reason, message } = condition(decision, "Progressing") ?? {};
  const requeueMinutes = (decision.requeueAfterMs ?? 0) / 60_000;
  return { said: `${status} ${reason}`, message, requeueMinutes, events: decision.events, decision };
}

describe("a trainer that has trained", () => {
  const report = telling(5);
  const run = after(report);

  test("trains as long as the next step may still come, and is looked at again then", () => {
    expect(saidAt(14, { run, reports: [report] })).toMatchObject({ said: "True Training", requeueMinutes: 1 });
  });

  test("does no step for ten minutes: the run says since when, by the operator's clock, and warns once", () => {
    const late = saidAt(15, { run, reports: [report] });
    expect(late.said).toBe("False NoStep");
    expect(late.message).toMatch(
      /no step after step 5, which was heard of at 2026-01-01T00:05:00.000Z. One takes 1 s on/,
    );
    expect(late.events).toMatchObject([{ type: "Warning", reason: "NoStep" }]);
    const again = saidAt(16, { run: { ...run, status: late.decision.status }, reports: [report] });
    expect([again.said, again.events]).toEqual(["False NoStep", []]);
  });

  test.each<[string, Partial<Progress>]>([
    ["with its last step", { targetStep: 5 }],
    ["early", { phase: "Finishing" }],
  ])("and is through %s, has come to no end: the run says so once its final save has had its time", (_, over) => {
    const saves = { committed: 1, failed: 0, skipped: 0, lastSeconds: 240, lastBytes: 10, stallSeconds: 0 };
    const through = { ...report, state: answer({ progress: progress({ ...report.state.progress, saves, ...over }) }) };
    const run = after(through);
    const due = 5 + finalSavePatienceSeconds({ ...saves, bytes: saves.lastBytes }) / 60;
    expect(saidAt(due - 1, { run, reports: [through] }).said).toBe("True Training");
    const late = saidAt(due, { run, reports: [through] });
    expect(late.said).toBe("False NoEnd");
    expect(late.message).toMatch(/not come to its end after its last step, 5, which was heard of at 2026-01-01T00:05/);
    expect(late.events).toMatchObject([{ type: "Warning", reason: "NoEnd" }]);
  });

  test.each<[string, Partial<Progress>, boolean]>([
    ["says what ends it by itself where stalls are watched for", { phase: "Finishing" }, true],
    ["says nothing of that where the trainer does not tell of its phases", { targetStep: 5 }, false],
  ])("and comes to no end %s", (_, over, isTold) => {
    const through = { ...report, state: answer({ progress: progress({ ...report.state.progress, ...over }) }) };
    const run = after(through);
    const watched = { ...run, spec: { ...run.spec, stall: { timeoutSeconds: 900 } } };
    const late = saidAt(120, { run: watched, reports: [through] });
    expect(late.said).toBe("False NoEnd");
    expect(late.message?.includes("spec.stall ends the attempt; raise spec.stall.timeoutSeconds")).toBe(isTold);
  });

  test("goes on: the run says so at once, and no news of anything else hides that it does not", () => {
    const late = saidAt(15, { run, reports: [report] });
    const status = { ...run, status: late.decision.status };
    const elsewhere = { ...report, receivedAt: minutes(20) };
    expect(saidAt(20, { run: status, reports: [elsewhere] }).said).toBe("False NoStep");
    expect(saidAt(20, { run: status, reports: [{ ...telling(6), receivedAt: minutes(20) }] })).toMatchObject({
      said: "True Training",
      requeueMinutes: 10,
    });
  });

  test("at a slow pace is given twenty steps of its own", () => {
    const slow = telling(5, { pace: 1 / 60 });
    expect(saidAt(24, { run: after(slow), reports: [slow] }).said).toBe("True Training");
    expect(saidAt(25, { run: after(slow), reports: [slow] }).said).toBe("False NoStep");
  });

  test("anew, at the step that an earlier attempt came to, is not judged by that one's time", () => {
    const status = {
      ...run.status,
      attempt: 1,
      attempts: [{ number: 1, generation: 1, pods: [{ uid: "pod-1" }], startTime: at(3600) }],
    };
    const again = { ...report, receivedAt: minutes(60) };
    expect(saidAt(60, { run: living({ status }), reports: [again] })).toMatchObject({
      said: "True Training",
      requeueMinutes: 10,
    });
  });
});

describe("an agent that does not answer", () => {
  const trained = { firstStepTime: at(10), opened: true, lastStep: 5 };

  test.each([
    ["before the first step", { restored: null }],
    ["after it", { progress: telling(5).state.progress }],
  ])("%s leaves open whether the attempt advances, a minute after its last answer", (_, state) => {
    const report = { podUid: "pod-1", receivedAt: minutes(5), heardAt: minutes(7), state: answer(state) };
    const run = after(report);
    expect(saidAt(7.9, { run, reports: [report] }).said).not.toContain("AgentSilent");
    expect(saidAt(7.9, { run, reports: [report] }).requeueMinutes).toBeCloseTo(0.1);
    expect(saidAt(8, { run, reports: [report] }).said).toBe("Unknown AgentSilent");
  });

  test.each([
    ["before the first step", {}, "False Restoring"],
    ["after it", trained, "True Training"],
  ])("to an operator that has just begun to ask is not called silent for a minute: %s", (_, entry, before) => {
    const run = living({ entry });
    const asking = { run, askingSince: minutes(10) };
    expect(saidAt(10, asking)).toMatchObject({ said: before, requeueMinutes: 1 });
    expect(saidAt(11, asking).said).toBe("Unknown AgentSilent");
  });

  test("is not judged where nobody knows since when it was asked and it was heard before", () => {
    expect(saidAt(60, { run: living({ entry: trained }) }).said).toBe("True Training");
    expect(saidAt(60, { run: living() }).said).toBe("Unknown AgentSilent");
  });
});

describe("a node that is not ready, with a pod that trains", () => {
  const report = telling(5, { heard: 5 });
  const run = after(report);

  test("by its own word, as for its network plugin, does not make the run stand still", () => {
    const nodes = [nodeWith({ ready: "False" })];
    expect(saidAt(5.9, { run, reports: [report], nodes }).said).toBe("True Training");
    expect(saidAt(5.9, { run, reports: [report], nodes }).requeueMinutes).toBeCloseTo(0.1);
    expect(saidAt(6, { run, reports: [report], nodes }).said).toBe("False NodeSilent");
  });

  test("because nobody has heard of it is silent, whatever was heard of the agent", () => {
    const nodes = [nodeWith({ ready: "Unknown" })];
    expect(saidAt(5.5, { run, reports: [report], nodes }).said).toBe("False NodeSilent");
  });
});

describe("a node whose clock is off", () => {
  const restored = (off: number): AgentReport => {
    const time = at(300 + off);
    const resume = {
      version: 1,
      run: "u",
      attempt: 1,
      podUid: "pod-1",
      resume: null,
      refused: [],
      verifiedBytes: 0,
      seconds: 0,
      time,
    } as const;
    return {
      podUid: "pod-1",
      receivedAt: minutes(5),
      heardAt: minutes(7.5),
      state: answer({ restored: { ...resume, refused: [] } }),
    };
  };
  const started = (off: number) => ({
    ...training,
    trainer: { ...training.trainer, startedAt: minutes(5) + off * 1000 },
  });

  test.each([-3600, 0, 3600])("by %i s has its trainer's first step waited for as long as any", (off) => {
    const seen = { run: living(), reports: [restored(off)], pods: [started(off)] };
    expect(saidAt(6.9, seen).said).toBe("False WaitingForFirstStep");
    expect(saidAt(7, seen).said).toBe("False NoStepReported");
  });

  test("ahead does not keep an agent from being called silent", () => {
    const seen = { run: living(), pods: [started(3600)], askingSince: minutes(5) };
    expect(saidAt(5.5, seen).said).not.toContain("AgentSilent");
    expect(saidAt(6, seen).said).toBe("Unknown AgentSilent");
  });
});
