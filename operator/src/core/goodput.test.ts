import { describe, expect, test } from "vitest";
import { decideOn, living } from "../../test/observed-builder.ts";
import { at, ended, podWith, running } from "../../test/pod-builder.ts";
import { answer, checkpoint, progress, served } from "../../test/records.ts";
import { type Fields, start } from "../../test/run-builder.ts";
import type { AgentReport } from "./observed.ts";

const training = podWith({
  status: { containerStatuses: [running("trainer")], initContainerStatuses: [running("agent")] },
});
const trained = { opened: true, firstStepTime: at(20), lastStep: 40 };

/** What is heard a hundred seconds after the start of a trainer that did its first step after twenty; its clock is `off`. */
function heard(fields: { off?: number; step?: number } = {}): AgentReport {
  const { off = 0, step = 81 } = fields;
  const firstStep = { step: 1, time: at(20 + off) };
  const state = answer({ progress: progress({ step, firstStep, time: at(100 + off) }) });
  return { podUid: "pod-1", receivedAt: start + 100_000, heardAt: start + 100_000, state };
}

const seconds = (count: number) => start + count * 1000;
const crashed = (off: number, record: Parameters<typeof served>[0] = {}) =>
  podWith({
    status: {
      phase: "Failed",
      containerStatuses: [ended("trainer", 1, { finishedAt: at(100 + off) })],
      initContainerStatuses: [
        ended("agent", 0, { finishedAt: at(100 + off), message: JSON.stringify(served(record)) }),
      ],
    },
  });

describe("the goodput of a run", () => {
  test("is told from the first attempt on, while that lives", () => {
    const { totals } = decideOn({ run: living(), pods: [training], reports: [heard()], now: seconds(100) }).status;
    expect(totals).toMatchObject({ attempts: 0, wallSeconds: 0, goodput: "0.800" });
  });

  test("is not told before the first step, nor made up for a run that has only begun", () => {
    const before = { podUid: "pod-1", receivedAt: start, state: answer() };
    const { status } = decideOn({ run: living(), pods: [training], reports: [before], now: seconds(100) });
    expect(status.totals).not.toHaveProperty("goodput");
  });

  test("does not change with the time alone", () => {
    const seen = { run: living(), pods: [training], reports: [heard()] };
    const { status } = decideOn({ ...seen, now: seconds(100) });
    const later = decideOn({ ...seen, run: { ...seen.run, status }, now: seconds(400) });
    expect(later.status.totals).toEqual(status.totals);
  });

  test("counts what ended before, and the time in between", () => {
    const totals = { attempts: 1, disruptions: 1, failures: 0, stalls: 0, steps: 80, lostSteps: 40 };
    const status = { totals: { ...totals, wallSeconds: 100, trainingSeconds: 60 } };
    const entry = {
      recoverySeconds: { detect: "50" },
      resumedFrom: { step: 41, digest: checkpoint(41, 1, "a").digest, tier: "Volume" },
    };
    const run = living({ status, entry });
    const after = decideOn({ run, pods: [training], reports: [heard()], now: seconds(100) }).status.totals;
    // (60 + 80) of (100 + 150) seconds, and 40 of (80 + 40) steps lost.
    expect(after).toMatchObject({ goodput: ((140 / 250) * (1 - 40 / 120)).toFixed(3) });
  });

  test.each([-3600, 0, 3600])("does not depend on a node's clock: one that is %i s off", (off) => {
    const reports = [heard({ off })];
    const { status } = decideOn({ run: living(), pods: [training], reports, now: seconds(100) });
    expect(status.totals?.goodput).toBe("0.800");
    const over = decideOn({ run: living({ status: status as Fields }), pods: [crashed(off)], now: seconds(101) });
    const [next] = over.status.attempts ?? [];
    expect(over.status.totals).toMatchObject({ trainingSeconds: 80 });
    expect(Math.abs((over.status.totals?.wallSeconds ?? 0) - 100)).toBeLessThan(2);
    expect(Date.parse(next?.endTime ?? "")).toBeLessThanOrEqual(seconds(101));
  });
});

describe("lost steps", () => {
  test("are booked where no attempt follows: what was not verified in the end", () => {
    const entry = { ...trained, resumedFrom: { step: 30, digest: checkpoint(30, 1, "a").digest, tier: "Volume" } };
    const run = living({ spec: { retry: { failures: 0 } }, entry, status: { latestVerified: checkpoint(33, 1, "b") } });
    const { status } = decideOn({ run, pods: [crashed(0)], now: seconds(101) });
    expect(status).toMatchObject({ state: "Failed", totals: { lostSteps: 7 }, attempts: [{ lostSteps: 7 }] });
  });

  test("are all of them where nothing is left to resume from", () => {
    const run = living({ spec: { retry: { failures: 0 } }, entry: trained });
    expect(decideOn({ run, pods: [crashed(0)], now: seconds(101) }).status.totals).toMatchObject({ lostSteps: 40 });
  });

  test("are not what a user leaves behind by choosing an older checkpoint", () => {
    const past = {
      number: 1,
      generation: 1,
      pods: [],
      startTime: at(0),
      endTime: at(50),
      cause: "Crashed",
      charge: "Failure",
      lastStep: 43,
    };
    const from = '{"step":10}';
    const status = {
      attempt: 2,
      attempts: [{ number: 2, generation: 2, pods: [{ uid: "pod-1" }], startTime: at(60), from }, past],
      base: { sinceAttempt: 1, generation: 1 },
      latestVerified: checkpoint(40, 1, "a"),
    };
    const labels = { "trainingrun.dev/attempt": "2", "trainingrun.dev/worker": "0" };
    const record = served({
      attempt: 2,
      resumedFrom: { step: 10, digest: checkpoint(10, 1, "b").digest, tier: "Volume" },
    });
    const agent = { ...running("agent"), lastState: ended("agent", 1, { message: JSON.stringify(record) }).state };
    const pod = podWith({
      metadata: { name: "mnist-2-0", labels },
      status: { containerStatuses: [running("trainer")], initContainerStatuses: [agent] },
    });
    const run = living({ spec: { resume: { from: { step: 10 } } }, status });
    expect(decideOn({ run, pods: [pod], now: seconds(100) }).status).toMatchObject({
      base: { from, step: 10 },
      totals: { lostSteps: 3 },
      attempts: [{ number: 2 }, { number: 1, lostSteps: 3 }],
    });
  });
});
