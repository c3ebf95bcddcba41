import type { AgentState } from "@trainingrun/checkpoint/contract/agent-state.ts";
import { beforeEach, describe, expect, it } from "vitest";
import { Probe, type Probed } from "./probe.ts";

const never = new AbortController().signal;
const pod = (podUid: string): Probed => ({ ip: "127.0.0.1", podUid, runUid: "run-uid", run: "a/mnist" });

const stateAt = (step: number, over: Partial<AgentState> = {}): AgentState => ({
  version: 1,
  runUid: "run-uid",
  podUid: "p1",
  attempt: 1,
  worker: 0,
  node: "n1",
  phase: "Serving",
  restored: null,
  progress: {
    version: 1,
    step,
    targetStep: 100,
    epoch: 0,
    samples: 0,
    metrics: [],
    stepsPerSecond: 1,
    saves: { committed: 0, failed: 0, skipped: 0, lastSeconds: 0, lastBytes: 0, stallSeconds: 0 },
    backend: "cpu",
    time: "2026-01-01T00:00:00Z",
  },
  checkpoints: [],
  latestVerified: null,
  best: null,
  refused: [],
  done: null,
  verificationFailures: 0,
  problems: [],
  ...over,
});
const summary = {
  step: 10,
  attempt: 1,
  digest: `sha256:${"a".repeat(64)}`,
  bytes: 1,
  time: "2026-01-01T00:00:00Z",
  tiers: ["Volume" as const],
  metrics: [],
};

describe("the probe", () => {
  let now: number;
  let answers: Map<string, AgentState | Error>;
  let asked: string[];
  let woken: string[];
  let probe: Probe;

  beforeEach(() => {
    now = 1_000_000;
    answers = new Map();
    asked = [];
    woken = [];
    probe = new Probe({
      targets: () => [...answers.keys()].map(pod),
      ask: async ({ podUid }) => {
        asked.push(podUid);
        const answer = answers.get(podUid);
        if (answer === undefined || answer instanceof Error) throw answer ?? new Error("nobody");
        return answer;
      },
      wake: (run) => woken.push(run),
      onAnswer: async () => undefined,
      intervalMs: 1,
      progressEveryMs: 5_000,
      concurrency: 2,
      random: () => 0,
      now: () => now,
    });
  });

  async function answer(state: AgentState, afterMs: number): Promise<number | undefined> {
    now += afterMs;
    answers.set("p1", state);
    await probe.round(never);
    return probe.report("p1")?.state.progress?.step;
  }

  it("passes the first answer on at once, and mere progress every five seconds", async () => {
    expect(await answer(stateAt(1), 0)).toBe(1);
    expect(await answer(stateAt(2), 2_000)).toBe(1);
    expect(await answer(stateAt(3), 2_000)).toBe(1);
    expect(await answer(stateAt(4), 1_000)).toBe(4);
    expect(woken).toEqual(["a/mnist", "a/mnist"]);
  });

  it("wakes nobody where nothing has changed", async () => {
    await answer(stateAt(1), 0);
    await answer(stateAt(1), 60_000);
    expect(woken.length).toBe(1);
  });

  const news: readonly [name: string, over: Partial<AgentState>][] = [
    ["a newly verified checkpoint", { latestVerified: summary }],
    ["a refused checkpoint", { refused: [{ ...summary, reason: "DigestMismatch", message: "m", node: "n" }] }],
    ["the end", { done: summary.digest }],
    ["being fenced", { phase: "Fenced" }],
    ["a problem of the storage", { problems: [{ reason: "NoSpace", message: "full" }] }],
  ];
  it.each(news)("passes %s on at once", async (_, over) => {
    await answer(stateAt(1), 0);
    expect(await answer(stateAt(2, over), 100)).toBe(2);
    expect(woken.length).toBe(2);
  });

  it("keeps the last answer of an agent that fell silent, until its pod is gone", async () => {
    await answer(stateAt(1), 0);
    answers.set("p1", new Error("connection refused"));
    await probe.round(never);
    expect(probe.report("p1")?.state.progress?.step).toBe(1);
    probe.forget("p1");
    expect(probe.report("p1")).toBeUndefined();
  });

  it("asks a silent agent in every round at first, then more rarely, and again in every round once it answers", async () => {
    answers.set("p1", new Error("connection refused"));
    const rounds = async (count: number, everyMs: number) => {
      asked.length = 0;
      for (let round = 0; round < count; round += 1) {
        now += everyMs;
        await probe.round(never);
      }
      return asked.length;
    };
    expect(await rounds(6, 2_000)).toBe(6);
    const rarely = await rounds(60, 2_000);
    expect(rarely).toBeGreaterThan(5);
    expect(rarely).toBeLessThan(15);
    now += 30_000;
    answers.set("p1", stateAt(1));
    await probe.round(never);
    expect(await rounds(6, 2_000)).toBe(6);
  });

  it("is not held up by one agent that does not answer, and asks no more at once than it may", async () => {
    let underWay = 0;
    let most = 0;
    const release: (() => void)[] = [];
    const many = new Probe({
      targets: () => ["p1", "p2", "p3", "p4", "p5"].map(pod),
      ask: async ({ podUid }) => {
        underWay += 1;
        most = Math.max(most, underWay);
        if (podUid === "p1") await new Promise<void>((resolve) => release.push(resolve));
        underWay -= 1;
        return stateAt(1, { podUid });
      },
      wake: () => undefined,
      onAnswer: async ({ podUid }) => {
        if (podUid === "p5") for (const end of release) end();
      },
      intervalMs: 1,
      progressEveryMs: 5_000,
      concurrency: 2,
    });
    await many.round(never);
    expect(["p1", "p2", "p3", "p4", "p5"].map((podUid) => many.report(podUid)?.podUid)).toEqual([
      "p1",
      "p2",
      "p3",
      "p4",
      "p5",
    ]);
    expect(most).toBe(2);
  });
});
