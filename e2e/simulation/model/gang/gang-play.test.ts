import { describe, expect, test } from "vitest";
import type { Plan } from "../../plan/draw.ts";
import type { Fault } from "../../plan/faults.ts";
import { plainRun } from "../../plan/plain-run.ts";
import type { RunScenario } from "../../plan/scenario.ts";
import { playMany } from "../../pool.ts";
import type { Answer } from "../../worker.ts";

const run: RunScenario = {
  ...plainRun,
  workers: 3,
  volume: "ReadWriteMany",
  targetStep: 12,
  intervalSteps: 3,
  failures: 5,
};

type Story = Readonly<{ faults?: readonly Partial<Fault>[]; change?: Partial<RunScenario> }>;

/** The plan of one gang on three nodes. */
function planOf({ faults = [], change = {} }: Story): Plan {
  return {
    seed: 11,
    scenario: {
      runs: [{ ...run, ...change }],
      nodes: 3,
      operators: 1,
      noise: { share: 0, longestMs: 0 },
      skewsMs: {},
    },
    faults: faults.map((fault, index) => ({
      id: `f${index}`,
      kind: "TrainerKilled",
      target: "run-0",
      moment: { run: "run-0", state: "Running", delayMs: 7_000 },
      forMs: 20_000,
      args: {},
      ...fault,
    })),
    chaosMs: 120_000,
  };
}

const stories: Readonly<Record<string, Story>> = {
  "nothing happens to": {},
  "loses the trainer of one worker": { faults: [{ kind: "TrainerKilled" }] },
  "loses the agent of one worker": { faults: [{ kind: "AgentKilled" }] },
  "has one pod evicted": { faults: [{ kind: "PodEvicted" }] },
  "has one pod taken away by force": { faults: [{ kind: "PodForceDeleted" }] },
  "loses a node for good": { faults: [{ kind: "NodeDeleted", target: "node-1" }] },
  "hears nothing of a node for a while": { faults: [{ kind: "NodeSilent", target: "node-1", forMs: 90_000 }] },
  "has two nodes lose their power": {
    faults: [
      { kind: "NodeLosesPower", target: "node-0" },
      { kind: "NodeLosesPower", target: "node-1", forMs: 60_000 },
    ],
  },
  "crashes by itself, in another worker each time": { change: { program: { ...run.program, crashesAt: [4, 8] } } },
};

const names = Object.keys(stories);
const plays = playMany(
  Object.values(stories).map((story, seed) => ({ seed, isCalm: false, plan: planOf(story) })),
  { workers: 1 },
);

/** What a story came to; throws where it was not played to its end. */
async function played(name: string): Promise<Exclude<Answer, { error: string }>> {
  const answer = (await plays)[names.indexOf(name)];
  if (answer === undefined || "error" in answer) throw new Error(`Cannot play a gang that ${name}: ${answer?.error}`);
  return answer;
}

describe("a gang of three", { timeout: 120_000 }, () => {
  test.each(names)("that %s comes to the end that it has undisturbed, and keeps every promise", async (name) => {
    const { judgement, runs } = await played(name);
    expect({ violations: judgement.violations, state: runs[0]?.state }).toEqual({ violations: [], state: "Complete" });
    expect(judgement.evaluations.S16).toBeGreaterThan(0);
  });

  test.each([
    ["nothing happens to", 1],
    ["loses the agent of one worker", 1],
    ["loses the trainer of one worker", 2],
    ["has one pod evicted", 2],
    ["loses a node for good", 2],
  ])("that %s needs %i attempts", async (name, attempts) => {
    expect((await played(name)).runs[0]?.attempts).toBe(attempts);
  });
});
