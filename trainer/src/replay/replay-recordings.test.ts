import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { recordingName } from "./replay-journal.ts";
import { findRecording } from "./replay-recordings.ts";
import { bitsOf, formatLine, type ReplayStep } from "./replay-step.ts";

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
/** A step whose loss tells which attempt computed it. */
const stepOf = (attempt: number, step: number): ReplayStep => ({ step, loss: bitsOf(attempt), weights: digest("e") });

/** A recording: of which attempt, after which step, the steps in it, and the checkpoint that they follow on. */
type Recording = { attempt: number; after: number; steps: number[]; checkpoint?: string };

function runWith(recordings: readonly Recording[]): string {
  const root = mkdtempSync(join(tmpdir(), "recordings-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  mkdirSync(join(root, "replay"));
  for (const { attempt, after, steps, checkpoint = digest("a") } of recordings) {
    const heading = { version: 1 as const, checkpoint, step: after, attempt };
    const lines = [formatLine(heading), ...steps.map((step) => formatLine(stepOf(attempt, step)))];
    writeFileSync(join(root, "replay", recordingName(after, attempt)), lines.join(""));
  }
  return root;
}

test.each([
  ["nothing where nothing is recorded", [], []],
  ["at most as many steps as are asked for", [{ attempt: 1, after: 4, steps: [5, 6, 7, 8] }], ["1:5", "1:6", "1:7"]],
  [
    "the longest of several",
    [
      { attempt: 1, after: 4, steps: [5] },
      { attempt: 2, after: 4, steps: [5, 6] },
    ],
    ["2:5", "2:6"],
  ],
  [
    "the earliest of equally long ones",
    [
      { attempt: 2, after: 4, steps: [5, 6] },
      { attempt: 1, after: 4, steps: [5, 6] },
    ],
    ["1:5", "1:6"],
  ],
  [
    "none that follows on another checkpoint of that step",
    [
      { attempt: 1, after: 4, steps: [5, 6, 7], checkpoint: digest("b") },
      { attempt: 2, after: 4, steps: [5] },
    ],
    ["2:5"],
  ],
  [
    "the attempt's steps after its next save, whichever checkpoint that is, and no other attempt's",
    [
      { attempt: 1, after: 4, steps: [5] },
      { attempt: 1, after: 5, steps: [6], checkpoint: digest("c") },
      { attempt: 2, after: 6, steps: [7], checkpoint: digest("d") },
    ],
    ["1:5", "1:6"],
  ],
  ["nothing behind a gap", [{ attempt: 1, after: 4, steps: [5, 7] }], ["1:5"]],
  ["nothing where the first step is missing", [{ attempt: 1, after: 4, steps: [6, 7] }], []],
  ["nothing twice", [{ attempt: 1, after: 4, steps: [5, 5, 6] }], ["1:5"]],
] satisfies [string, Recording[], string[]][])("finds %s", async (_, recordings, expected) => {
  const said: string[] = [];
  const followed = { step: 4, digest: digest("a") };
  const { steps: found, unreadable } = await findRecording(runWith(recordings), followed, {
    steps: 3,
    report: (text) => said.push(text),
  });
  const steps = [1, 2].flatMap((attempt) => [5, 6, 7].map((step) => ({ name: `${attempt}:${step}`, attempt, step })));
  const names = found.map((each) =>
    steps.find(({ attempt, step }) => each.step === step && each.loss === bitsOf(attempt)),
  );
  expect(names.map((each) => each?.name)).toEqual(expected);
  expect([said, unreadable]).toEqual([[], null]);
});

test("what can be read beside a recording that cannot is found, and why the other could not is told", async () => {
  const root = runWith([{ attempt: 2, after: 4, steps: [5] }]);
  mkdirSync(join(root, "replay", recordingName(4, 1)));
  const said: string[] = [];
  const followed = { step: 4, digest: digest("a") };
  const found = await findRecording(root, followed, { steps: 3, report: (text) => said.push(text) });
  expect(found).toEqual({ steps: [stepOf(2, 5)], unreadable: expect.stringContaining("EISDIR") });
  expect(said).toHaveLength(1);
});

test("a directory that cannot be read fails no resume, and is told of", async () => {
  const root = runWith([]);
  rmSync(join(root, "replay"), { recursive: true });
  writeFileSync(join(root, "replay"), "no directory");
  const said: string[] = [];
  const followed = { step: 4, digest: digest("a") };
  const found = await findRecording(root, followed, { steps: 3, report: (text) => said.push(text) });
  expect(found).toEqual({ steps: [], unreadable: expect.stringContaining("ENOTDIR") });
  expect(said).toEqual([expect.stringMatching(/^Cannot read what is on record for the replay check: .*ENOTDIR/)]);
});
