import type { AgentState } from "@trainingrun/checkpoint/contract/agent-state.ts";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { mirror } from "../../test/records.ts";
import { Probe, type Probed, type ProbeOptions } from "./probe.ts";

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
  mirror: null,
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
    probe = new Probe(options());
  });

  const options = (): ProbeOptions => ({
    targets: () => [...answers.keys()].map(pod),
    ask: async ({ podUid }) => {
      asked.push(podUid);
      const answer = answers.get(podUid);
      if (answer === undefined || answer instanceof Error) throw answer ?? new Error("nobody");
      return answer;
    },
    wake: (run) => woken.push(run),
    onAnswer: async () => undefined,
    intervalMs: 2_000,
    eagerMs: 500,
    progressEveryMs: 5_000,
    concurrency: 2,
    random: () => 0,
    now: () => now,
    monotonicNow: () => now,
  });

  async function round(): Promise<void> {
    probe.look(never);
    await probe.answered();
  }

  async function answer(state: AgentState, afterMs: number): Promise<number | undefined> {
    now += afterMs;
    answers.set("p1", state);
    await round();
    return probe.report("p1")?.state.progress?.step;
  }

  it("passes the first answer on at once, and mere progress every five seconds", async () => {
    expect(await answer(stateAt(1), 0)).toBe(1);
    expect(await answer(stateAt(2), 2_000)).toBe(1);
    expect(await answer(stateAt(3), 2_000)).toBe(1);
    expect(await answer(stateAt(4), 1_000)).toBe(4);
    expect(woken).toEqual(["a/mnist", "a/mnist"]);
  });

  it("passes progress on although the clock of the machine was set back", async () => {
    let wall = now;
    probe = new Probe({ ...options(), now: () => wall });
    expect(await answer(stateAt(1), 0)).toBe(1);
    wall -= 3_600_000;
    expect(await answer(stateAt(2), 5_000)).toBe(2);
  });

  it("wakes for the progress of many ten times a second in all, and tells whoever asks of it all the same", async () => {
    const pass = async (seconds: number) => {
      for (let second = 0; second < seconds; second += 1, now += 1_000) {
        for (let index = 0; index < 100; index += 1) answers.set(`p${index}`, stateAt(now));
        await round();
      }
    };
    await pass(1);
    woken.length = 0;
    await pass(9);
    expect([woken.length, probe.report("p7")?.state.progress?.step]).toEqual([0, now - 1_000]);
    await pass(11);
    expect(woken.length).toBe(199);
  });

  it("wakes urgently for news, patiently for progress, and patiently for what all agents say when it begins", async () => {
    const urgencies: string[] = [];
    probe = new Probe({ ...options(), wake: (_, urgency) => urgencies.push(urgency) });
    await answer(stateAt(1), 0);
    await answer(stateAt(2), 5_000);
    await answer(stateAt(2, { phase: "Fenced" }), 5_000);
    expect(urgencies).toEqual(["Urgent", "Patient", "Urgent"]);
    probe.forget("p1");
    await probe.run(AbortSignal.abort());
    await answer(stateAt(1), 9_999);
    await answer(stateAt(1, { phase: "Fenced" }), 500);
    expect(urgencies.slice(3)).toEqual(["Patient", "Urgent"]);
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
    ["a stall", { stall: { step: 2, seconds: 30, dump: null } }],
    ["a problem of the storage", { problems: [{ reason: "NoSpace", message: "full" }] }],
    ["a copy in the object store", { mirror: mirror({ latestStep: 20 }) }],
    ["a problem of the object store", { mirror: mirror({ problem: { reason: "BucketMissing", message: "gone" } }) }],
  ];
  it("lets a mirror that is merely further behind wait", async () => {
    await answer({ ...stateAt(1), mirror: mirror({ lagSeconds: 1 }) }, 0);
    expect(await answer({ ...stateAt(2), mirror: mirror({ lagSeconds: 2 }) }, 500)).toBe(1);
  });

  it.each(news)("passes %s on at once", async (_, over) => {
    await answer(stateAt(1), 0);
    expect(await answer(stateAt(2, over), 500)).toBe(2);
    expect(woken.length).toBe(2);
  });

  it("says when an agent was last heard, also where it had nothing new to say", async () => {
    await answer(stateAt(1), 0);
    await answer(stateAt(1), 4_000);
    expect(probe.report("p1")).toMatchObject({ receivedAt: 1_000_000, heardAt: 1_004_000 });
    answers.set("p1", new Error("connection refused"));
    now += 4_000;
    await round();
    expect(probe.report("p1")).toMatchObject({ heardAt: 1_004_000 });
  });

  it("says since when it has been asking", async () => {
    expect(probe.askingSince).toBeUndefined();
    await probe.run(AbortSignal.abort());
    expect(probe.askingSince).toBe(1_000_000);
  });

  it("keeps the last answer of an agent that fell silent, until its pod is gone", async () => {
    await answer(stateAt(1), 0);
    answers.set("p1", new Error("connection refused"));
    now += 500;
    await round();
    expect(asked).toEqual(["p1", "p1"]);
    expect(probe.report("p1")?.state.progress?.step).toBe(1);
    probe.forget("p1");
    expect(probe.report("p1")).toBeUndefined();
  });

  const training = { ...stateAt(1).progress, firstStep: { step: 1, time: "2026-01-01T00:00:00Z" } };
  const rhythms: readonly [name: string, answer: AgentState | Error, inAMinute: number][] = [
    ["before its first step every half second", stateAt(0), 120],
    ["that restores every half second", stateAt(0, { progress: null }), 120],
    ["that trains every interval", stateAt(1, { progress: training as AgentState["progress"] }), 30],
  ];
  it.each(rhythms)("asks an agent %s", async (_, state, inAMinute) => {
    answers.set("p1", state);
    for (let tick = 0; tick < 600; tick += 1) {
      await round();
      now += 100;
    }
    expect(asked.length).toBe(inAMinute);
  });

  it("asks a silent agent often at first, then more rarely, and in its rhythm again once it answers", async () => {
    answers.set("p1", new Error("connection refused"));
    const during = async (ms: number) => {
      asked.length = 0;
      for (const end = now + ms; now < end; now += 100) await round();
      return asked.length;
    };
    expect(await during(5_000)).toBe(10);
    const rarely = await during(120_000);
    expect(rarely).toBeGreaterThan(5);
    expect(rarely).toBeLessThan(15);
    answers.set("p1", stateAt(1));
    await during(30_000);
    expect(await during(5_000)).toBe(10);
  });

  it("asks in its rhythm an agent that answers, also where what is done with its answers fails", async () => {
    const onAnswer = async () => Promise.reject(new Error("the save was refused"));
    probe = new Probe({ ...options(), onAnswer });
    answers.set("p1", stateAt(1, { progress: training as AgentState["progress"] }));
    for (const end = now + 60_000; now < end; now += 100) await round();
    expect(asked.length).toBe(30);
  });

  it("asks four hundred times a second in all, however many there are", async () => {
    for (let index = 0; index < 2_000; index += 1) answers.set(`p${index}`, stateAt(1));
    for (const end = now + 10_000; now < end; now += 500) await round();
    expect(asked.length).toBe(4_000);
  });

  describe("with agents that take the connection and never answer", () => {
    const hung = new Set(["p1", "p2", "p3"]);
    let underWay: string[];
    let most: number;
    let end: (() => void)[];
    let many: Probe;

    beforeEach(() => {
      underWay = [];
      most = 0;
      end = [];
      many = new Probe({
        targets: () => ["p1", "p2", "p3", "p4", "p5", "p6"].map(pod),
        ask: async ({ podUid }) => {
          asked.push(podUid);
          underWay.push(podUid);
          most = Math.max(most, underWay.length);
          try {
            if (hung.has(podUid)) await new Promise<void>((_, reject) => end.push(() => reject(new Error("too long"))));
            return stateAt(1, { podUid });
          } finally {
            underWay = underWay.filter((each) => each !== podUid);
          }
        },
        wake: () => undefined,
        onAnswer: async () => undefined,
        intervalMs: 2_000,
        eagerMs: 500,
        progressEveryMs: 5_000,
        concurrency: 4,
        now: () => now,
        monotonicNow: () => now,
      });
    });
    const answered = (podUid: string) => asked.filter((each) => each === podUid).length;
    const settle = () => new Promise((resolve) => setImmediate(resolve));

    it("asks the others in their rhythm meanwhile, and no more at once than it may", async () => {
      for (let tick = 0; tick < 20; tick += 1) {
        many.look(never);
        await settle();
        now += 500;
      }
      expect(["p4", "p5", "p6"].map(answered)).toEqual([20, 20, 20]);
      expect(["p1", "p2", "p3"].map(answered)).toEqual([1, 1, 1]);
      expect(most).toBe(4);
    });

    it("leaves half of its room to those that answer", async () => {
      for (let tick = 0; tick < 4; tick += 1) {
        many.look(never);
        await settle();
        for (const give of end.splice(0)) give();
        await settle();
        now += 500;
      }
      many.look(never);
      await settle();
      expect(underWay.filter((podUid) => hung.has(podUid)).length).toBe(2);
    });
  });
});

describe("the probe's loop", () => {
  let stop: AbortController;
  let agents: string[];
  let asked: string[];
  let looked: number;
  let probe: Probe;
  let running: Promise<void>;

  beforeEach(() => {
    vi.useFakeTimers({ now: 0 });
    stop = new AbortController();
    agents = [];
    asked = [];
    looked = 0;
    probe = new Probe({
      targets: () => {
        looked += 1;
        return agents.map(pod);
      },
      ask: async ({ podUid }) => {
        asked.push(`${podUid} at ${Date.now()}`);
        return stateAt(1, { podUid, progress: { ...training } });
      },
      wake: () => undefined,
      onAnswer: async () => undefined,
      intervalMs: 2_000,
      eagerMs: 500,
      progressEveryMs: 5_000,
      concurrency: 2,
      monotonicNow: Date.now,
    });
    running = probe.run(stop.signal);
  });
  afterEach(async () => {
    stop.abort();
    await running;
    vi.useRealTimers();
  });

  const training = { ...stateAt(1).progress, firstStep: { step: 1, time: "2026-01-01T00:00:00Z" } } as NonNullable<
    AgentState["progress"]
  >;
  const appear = (...podUids: string[]) => {
    agents.push(...podUids);
    probe.targetsChanged();
  };

  it("looks at nothing while nothing changes", async () => {
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect([looked, vi.getTimerCount()]).toEqual([1, 1]);
  });

  it("asks a new agent at once, and wakes for nothing but the next one due", async () => {
    await vi.advanceTimersByTimeAsync(10_000);
    appear("p1");
    await vi.advanceTimersByTimeAsync(0);
    expect(asked).toEqual(["p1 at 10000"]);
    await vi.advanceTimersByTimeAsync(700);
    appear("p2");
    for (let wake = 0; wake < 5; wake += 1) await vi.advanceTimersToNextTimerAsync();
    expect(asked.slice(1)).toEqual([
      "p2 at 10700",
      "p1 at 12000",
      "p2 at 12700",
      "p1 at 14000",
      "p2 at 14700",
      "p1 at 16000",
    ]);
    expect(looked).toBe(3);
  });

  it("looks no more than ten times a second, however much changes", async () => {
    for (let change = 0; change < 1_000; change += 1) {
      probe.targetsChanged();
      await vi.advanceTimersByTimeAsync(1);
    }
    expect(looked).toBeLessThanOrEqual(11);
  });
});
