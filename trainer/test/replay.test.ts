import { appendFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Life, live, runDirectory } from "./short-life.ts";

/* Two lives: the first saves at step 4 and is killed at step 9; the second resumes there and computes 5 to 9 again. */

const policy = { replaySteps: 5 };
const tolerance = "0.001";

async function replayed(second: Partial<Life>, between: (directory: string) => void = () => undefined) {
  const directory = runDirectory();
  await live({ directory, policy, steps: 9, saveAt: 4 });
  between(directory);
  const { replay, from } = await live({ directory, policy, steps: 12, ...second });
  expect(from).toBe(4);
  return replay;
}

const recordings = (directory: string) => readdirSync(join(directory, "replay")).sort();
const linesOf = (directory: string, name: string) => readFileSync(join(directory, "replay", name), "utf8").split("\n");
const firstRecording = "step-000000000004-a0001.jsonl";

test("an undisturbed resume is bit-exact over all recorded steps", async () => {
  expect(await replayed({})).toEqual({ asked: 5, recorded: 5, compared: 5, result: "BitExact", tolerance });
});

describe("what is not restored is seen:", () => {
  test.each([
    // The random numbers drop units out, so the very first step shows them.
    ["other random numbers", { randomSeed: 99 }, 5],
    ["another batch order", { cursor: (cursor) => ({ ...cursor, permutationSeed: 99 }) }, 5],
    ["a row of data skipped", { cursor: (cursor) => ({ ...cursor, position: cursor.position + 1 }) }, 5],
    // The first loss is computed before the first update.
    ["another learning rate", { learningRate: 0.1 }, 5],
  ] satisfies [string, Partial<Life>, number][])("%s", async (_, second, firstDifference) => {
    const verdict = await replayed(second);
    expect(verdict).toMatchObject({ recorded: 5, compared: 5, result: "Differs", firstDifference });
    expect(Number(verdict?.largestDifference)).toBeGreaterThan(Number(tolerance));
  });
});

test("another backend rounds differently, and is told from another result", async () => {
  const verdict = await replayed({ backend: "javascript" });
  expect(verdict).toMatchObject({ recorded: 5, compared: 5, result: "WithinTolerance", firstDifference: 5 });
  expect(Number(verdict?.largestDifference)).toBeLessThan(1e-5);
});

test("a life that ends early says how far it compared", async () => {
  expect(await replayed({ steps: 6 })).toMatchObject({ recorded: 5, compared: 2, result: "BitExact" });
});

test("fewer recorded steps than asked for are compared, and counted", async () => {
  expect(await replayed({ policy: { replaySteps: 8 } })).toMatchObject({ asked: 8, recorded: 5, compared: 5 });
});

test.each([
  ["a recording that is gone", (path: string) => rmSync(path), 0],
  ["a line cut short", (path: string) => writeFileSync(path, readFileSync(path, "utf8").slice(0, -20)), 4],
  ["a flipped digit of a loss", (path: string) => corrupt(path, /("loss":")(.)/g), 0],
  ["a heading that is damaged", (path: string) => corrupt(path, /("attempt":)(.)/), 0],
  ["text that is none of ours", (path: string) => appendFileSync(path, "noise\n"), 5],
])("%s is no difference: what is left of it is compared", async (_, damage, recorded) => {
  const verdict = await replayed({}, (directory) => damage(join(directory, "replay", firstRecording)));
  expect(verdict).toMatchObject({
    recorded,
    compared: recorded,
    result: recorded === 0 ? "NothingRecorded" : "BitExact",
  });
});

function corrupt(path: string, pattern: RegExp): void {
  writeFileSync(
    path,
    readFileSync(path, "utf8").replace(pattern, (_, before, digit) => `${before}${digit === "7" ? 8 : 7}`),
  );
}

test("what a resume computes again is recorded too, so that a third life has more to compare with", async () => {
  const directory = runDirectory();
  await live({ directory, policy, steps: 6, saveAt: 4 });
  await live({ directory, policy, steps: 9 });
  expect(recordings(directory)).toEqual([firstRecording, "step-000000000004-a0002.jsonl"]);
  const { replay } = await live({ directory, policy, steps: 9 });
  expect(replay).toMatchObject({ recorded: 5, compared: 5, result: "BitExact" });
});

test("a recording goes on past the attempt's next save", async () => {
  const directory = runDirectory();
  await live({ directory, policy, steps: 4, saveAt: 4 });
  await live({ directory, policy, steps: 9, saveAt: 6 });
  expect(recordings(directory)).toEqual(["step-000000000004-a0002.jsonl", "step-000000000006-a0002.jsonl"]);
  expect(linesOf(directory, "step-000000000004-a0002.jsonl")).toHaveLength(1 + 2 + 1);
  rmSync(join(directory, "data", "step-000000000006-a0002"), { recursive: true });
  const { replay, from } = await live({ directory, policy, steps: 12 });
  expect([from, replay?.recorded, replay?.result]).toEqual([4, 5, "BitExact"]);
});

test("the recording of a checkpoint that is gone goes with the next one", async () => {
  const directory = runDirectory();
  await live({ directory, policy, steps: 6, saveAt: 4 });
  await live({ directory, policy, steps: 9, saveAt: 8 });
  rmSync(join(directory, "data", "step-000000000004-a0001"), { recursive: true });
  await live({ directory, policy, steps: 12 });
  expect(recordings(directory)).toEqual(["step-000000000008-a0002.jsonl", "step-000000000008-a0003.jsonl"]);
});

test("without replaySteps nothing is recorded", async () => {
  const directory = runDirectory();
  await live({ directory, policy: { replaySteps: 0 }, steps: 6, saveAt: 4 });
  expect(readdirSync(directory).sort()).toEqual(["data", "log"]);
});
