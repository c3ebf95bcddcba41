import { rm } from "node:fs/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { whyNotTraced } from "../crash-grid/strace.ts";
import { makeWorkspace } from "../crash-grid/workspace.ts";
import { plantedMistakes } from "../planted/catalogue.ts";
import { judgePowerLoss } from "./judge.ts";
import { recordAll } from "./recordings.ts";

const impossible = whyNotTraced();

/** The most states of one instant here; `npm run measure -- power-loss` looks at far more. */
const atOnce = 6;

describe("a power cut", { timeout: 180_000 }, () => {
  test("at any instant leaves the previous state or the new one, whole (I1, I3, I6)", async (context) => {
    context.skip(impossible !== null, impossible ?? "");
    const judged = [];
    for (const recording of await recordAll(await workspace())) {
      judged.push(await judgePowerLoss(recording, { atOnce, seed: 1 }));
    }
    expect(judged.flatMap(({ problems }) => problems)).toEqual([]);
    const states = judged.reduce((sum, { held }) => sum + held, 0);
    expect(states).toBeGreaterThan(80);
    process.stdout.write(`power loss: ${states} different states of ${judged.length} recordings held\n`);
  });

  test("shows every sync that is forgotten and every name that is given too early", async (context) => {
    context.skip(impossible !== null, impossible ?? "");
    const planted = await plantedMistakes(await workspace());
    const missed: string[] = [];
    for (const { mistake, recording } of planted) {
      const { problems } = await judgePowerLoss(recording, { atOnce: 40, seed: 1, maxProblems: 1 });
      if (problems.length === 0) missed.push(`${recording.scenario.name} ${mistake}`);
    }
    expect(missed).toEqual([]);
    expect(planted.length).toBeGreaterThan(18);
    process.stdout.write(`power loss: ${planted.length} planted mistakes caught\n`);
  });
});

async function workspace(): Promise<string> {
  const directory = await makeWorkspace("power-loss-test-");
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}
