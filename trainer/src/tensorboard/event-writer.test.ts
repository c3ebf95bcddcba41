import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { countPoints, readEventFile, readEvents } from "../../test/read-events.ts";
import { EventWriter } from "./event-writer.ts";

let directory: string;
let reports: string[];

beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), "events-")), "tensorboard");
  reports = [];
});

afterEach(() => rmSync(join(directory, ".."), { recursive: true, force: true }));

test("losses and evaluations are read back as they were written", async () => {
  const events = writer({ attempt: 3, from: 2 ** 40 });
  events.loss(2 ** 40 + 1, 0.5);
  events.evaluation(2 ** 40 + 1, { accuracy: 0.75, "Größe/μ": Number.NaN });
  events.loss(2 ** 40 + 2, Number.POSITIVE_INFINITY);
  await events.close();
  expect(readdirSync(directory)).toEqual(["events.out.tfevents.1099511627777.3"]);
  expect(readEvents(directory)).toEqual([
    { wallTime: expect.closeTo(Date.now() / 1000, -2), step: 0, version: "brain.Event:2", scalars: {} },
    { wallTime: expect.any(Number), step: 2 ** 40 + 1, status: 1, scalars: {} },
    { wallTime: expect.any(Number), step: 2 ** 40 + 1, scalars: { "train/loss": 0.5 } },
    {
      wallTime: expect.any(Number),
      step: 2 ** 40 + 1,
      scalars: { "evaluation/accuracy": 0.75, "evaluation/Größe/μ": Number.NaN },
    },
    { wallTime: expect.any(Number), step: 2 ** 40 + 2, scalars: { "train/loss": Number.POSITIVE_INFINITY } },
  ]);
});

describe("each step is there once when the attempts go", () => {
  test.each<[string, [from: number, to: number][]]>([
    [
      "on from the last step",
      [
        [0, 30],
        [30, 60],
      ],
    ],
    [
      "on from an earlier step",
      [
        [0, 30],
        [20, 60],
      ],
    ],
    [
      "on from the same step again and again",
      [
        [0, 30],
        [20, 35],
        [20, 25],
        [20, 40],
      ],
    ],
    [
      "back over several attempts",
      [
        [0, 30],
        [30, 60],
        [60, 90],
        [15, 40],
      ],
    ],
    [
      "back to the beginning",
      [
        [0, 30],
        [30, 60],
        [0, 10],
      ],
    ],
    [
      "over one that did nothing",
      [
        [0, 30],
        [20, 20],
        [20, 40],
      ],
    ],
    [
      "on from a step whose padding is full",
      [
        [999_999_999_990, 1_000_000_000_010],
        [1_000_000_000_005, 1_000_000_000_020],
      ],
    ],
  ])("%s", async (_, attempts) => {
    for (const [index, [from, to]] of attempts.entries()) await attempt({ attempt: index + 1, from, to });
    const first = attempts[0]?.[0] ?? 0;
    const last = attempts.at(-1)?.[1] ?? 0;
    const steps = Array.from({ length: last - first }, (_, at) => first + 1 + at);
    expect(countPoints(readEvents(directory))).toEqual(new Map(steps.map((step) => [`${step} train/loss`, 1])));
    expect(reports).toEqual([]);
  });
});

test("an evaluation that a resume repeats is there once", async () => {
  const first = writer({ attempt: 1, from: 0 });
  first.loss(1, 0.1);
  await first.close();
  // Stopped before the evaluation of step 1, which the next two run; the first of them saves nothing.
  for (const number of [2, 3]) {
    const next = writer({ attempt: number, from: 1 });
    next.evaluation(1, { accuracy: number });
    next.loss(2, 0.2);
    await next.close();
  }
  const points = readEvents(directory).filter(({ scalars }) => Object.keys(scalars).length > 0);
  expect(points.map(({ step, scalars }) => [step, scalars])).toEqual([
    [1, { "train/loss": expect.closeTo(0.1) }],
    [1, { "evaluation/accuracy": 3 }],
    [2, { "train/loss": expect.closeTo(0.2) }],
  ]);
});

test("a torn or damaged end is cut, wherever it is torn", async () => {
  await attempt({ attempt: 1, from: 0, to: 3 });
  const path = join(directory, "events.out.tfevents.000000000001.1");
  const whole = readFileSync(path);
  const lengths = readEventFile(whole).length;
  await attempt({ attempt: 2, from: 2, to: 2 });
  const lastRecord = readFileSync(path).byteLength;
  rmSync(join(directory, "events.out.tfevents.000000000003.2"));
  const damages = [
    ...Array.from({ length: whole.byteLength - lastRecord }, (_, at) => whole.subarray(0, lastRecord + at)),
    ...Array.from({ length: whole.byteLength - lastRecord }, (_, at) => flipped(whole, lastRecord + at)),
  ];
  for (const damaged of damages) {
    writeFileSync(path, damaged);
    await attempt({ attempt: 3, from: 3, to: 4 });
    expect(readEventFile(readFileSync(path))).toHaveLength(lengths - 1);
  }
  expect(damages.length).toBeGreaterThan(50);
  expect(reports).toEqual([]);
});

test("what a process that was given up still writes is seen by nobody", async () => {
  const asleep = writer({ attempt: 1, from: 0 });
  asleep.loss(1, 0.1);
  await asleep.flush();
  await attempt({ attempt: 2, from: 1, to: 3 });
  asleep.loss(2, 0.9);
  await asleep.close();
  expect(countPoints(readEvents(directory))).toEqual(new Map([1, 2, 3].map((step) => [`${step} train/loss`, 1])));
});

test("a process that was given up before it began leaves the files of later attempts alone", async () => {
  await attempt({ attempt: 3, from: 10, to: 20 });
  const before = readEvents(directory);
  await attempt({ attempt: 2, from: 5, to: 12 });
  expect(readEvents(directory)).toEqual(before);
  expect(reports).toEqual([expect.stringContaining("has those of a later attempt than 2")]);
});

test("files of others and leftovers of a cut do not confuse it", async () => {
  mkdirSync(directory);
  writeFileSync(join(directory, ".partial-1"), "half");
  writeFileSync(join(directory, "notes.txt"), "mine");
  await attempt({ attempt: 2, from: 0, to: 1 });
  expect(readdirSync(directory).toSorted()).toEqual(["events.out.tfevents.000000000001.2", "notes.txt"]);
});

describe("training hears one sentence and nothing else where", () => {
  test("the directory's place is taken", async () => {
    writeFileSync(directory, "");
    await attempt({ attempt: 1, from: 0, to: 5 });
    expect(reports).toEqual([expect.stringMatching(/^no TensorBoard events .* ENOTDIR at .*tensorboard/)]);
  });

  test("the volume is gone", async () => {
    directory = join(directory, "absent", "tensorboard");
    await attempt({ attempt: 1, from: 0, to: 5 });
    expect(reports).toEqual([expect.stringMatching(/ENOENT .* it is not mounted, or was removed$/)]);
    directory = join(directory, "..", "..");
  });

  test("what waits is more than a slow volume may leave waiting", async () => {
    const events = writer({ attempt: 1, from: 0, steps: 100_000 });
    for (let step = 1; step <= 100_000; step += 1) events.loss(step, 0);
    await events.close();
    expect(reports).toEqual([expect.stringMatching(/does not take them fast enough: look at the volume$/)]);
  });

  test("an earlier file cannot be cut; then there is no new one either", async () => {
    mkdirSync(join(directory, "events.out.tfevents.000000000001.1"), { recursive: true });
    await attempt({ attempt: 2, from: 5, to: 6 });
    expect(readdirSync(directory)).toEqual(["events.out.tfevents.000000000001.1"]);
    expect(reports).toEqual([expect.stringContaining("EISDIR")]);
  });
});

test("of more steps than a viewer can draw, every so many losses and all evaluations are kept", async () => {
  const events = writer({ attempt: 1, from: 0, steps: 250_000 });
  for (let step = 1; step <= 9; step += 1) events.loss(step, 0);
  events.evaluation(7, { accuracy: 1 });
  await events.close();
  expect([...countPoints(readEvents(directory)).keys()]).toEqual([
    "3 train/loss",
    "6 train/loss",
    "9 train/loss",
    "7 evaluation/accuracy",
  ]);
});

async function attempt({ attempt: number, from, to }: { attempt: number; from: number; to: number }): Promise<void> {
  const events = writer({ attempt: number, from });
  for (let step = from + 1; step <= to; step += 1) events.loss(step, 1 / step);
  await events.close();
}

function writer({ attempt: number, from, steps = 1000 }: { attempt: number; from: number; steps?: number }) {
  return new EventWriter({ directory, attempt: number, step: from, steps, report: (message) => reports.push(message) });
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(at) ^ 1, at);
  return copy;
}
