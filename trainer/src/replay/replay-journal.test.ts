import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { ReplayJournal } from "./replay-journal.ts";
import { bitsOf, formatLine, lossOf, parseLine, ReplayHeading, ReplayStep } from "./replay-step.ts";

const digest = `blake3:${"c".repeat(64)}`;
const step = (number: number): ReplayStep => ({ step: number, loss: bitsOf(number / 3), weights: digest });

function runDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "journal-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, "data"));
  return directory;
}

test("steps go to the file of the checkpoint that they follow on, each on a line of its own", async () => {
  const root = runDirectory();
  const said: string[] = [];
  const journal = new ReplayJournal(root, (text) => said.push(text));
  mkdirSync(join(root, "data", "step-000000000004-a0001"));
  for (const [after, steps] of [
    [4, [5, 6]],
    [7, [8]],
  ] as const) {
    journal.begin({ version: 1, checkpoint: digest, step: after, attempt: 2 });
    for (const number of steps) journal.add(step(number));
  }
  await journal.settled();
  const lines = (name: string) => readFileSync(join(root, "replay", name), "utf8").split("\n");
  const [heading = "", ...steps] = lines("step-000000000004-a0002.jsonl");
  expect(parseLine(heading, ReplayHeading)).toEqual({ version: 1, checkpoint: digest, step: 4, attempt: 2 });
  expect(steps.map((line) => parseLine(line, ReplayStep))).toEqual([step(5), step(6), null]);
  expect(lines("step-000000000007-a0002.jsonl").map((line) => parseLine(line, ReplayStep))).toEqual([
    null,
    step(8),
    null,
  ]);
  expect(said).toEqual([]);
});

test("a volume that cannot be written stops the recording, says so once, and stops nothing else", async () => {
  const root = runDirectory();
  writeFileSync(join(root, "replay"), "no directory");
  const said: string[] = [];
  const journal = new ReplayJournal(root, (text) => said.push(text));
  journal.begin({ version: 1, checkpoint: digest, step: 4, attempt: 2 });
  for (const number of [5, 6, 7]) journal.add(step(number));
  await journal.settled();
  journal.begin({ version: 1, checkpoint: digest, step: 8, attempt: 2 });
  journal.add(step(9));
  await journal.settled();
  expect(said).toEqual([
    expect.stringMatching(/^Cannot record steps for the replay check any more; training goes on: /),
  ]);
});

test("a volume that falls too far behind is not waited for in memory", async () => {
  const root = runDirectory();
  const said: string[] = [];
  const journal = new ReplayJournal(root, (text) => said.push(text));
  journal.begin({ version: 1, checkpoint: digest, step: 0, attempt: 1 });
  const line = step(1);
  for (let count = 0; count < 10_001; count += 1) journal.add(line);
  expect(said).toEqual([expect.stringContaining("10000 steps wait to be written")]);
  await journal.settled();
});

test("every single changed character of a line is noticed", () => {
  const line = formatLine(step(5)).slice(0, -1);
  expect(parseLine(line, ReplayStep)).toEqual(step(5));
  for (let at = 0; at < line.length; at += 1) {
    const changed = `${line.slice(0, at)}${line[at] === "1" ? "2" : "1"}${line.slice(at + 1)}`;
    expect(parseLine(changed, ReplayStep), changed).toBeNull();
  }
});

test.each([0, -0, 1, -1.5, Number.MIN_VALUE, Number.MAX_VALUE, Infinity, -Infinity, Number.NaN])(
  "the loss %s comes back from its bits",
  (loss) => {
    expect(lossOf(bitsOf(loss))).toBe(loss);
  },
);
