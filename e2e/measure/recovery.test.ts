import { describe, expect, test } from "vitest";
import { recoveryResult } from "./recovery-result.ts";
import { holds } from "./result.ts";

const trained = { ours: times(12, 3), starts: times(6, 2), theirs: [10], parts: [] };
const at = (index: number, value: number) => trained.ours.with(index, value);
const evicted = { trainingRun: times(20, 1.6), jobSet: times(20, 1.8) };
const crashed = { trainingRun: times(5, 2.5), jobSet: times(5, 3.1) };

function times(count: number, seconds: number): number[] {
  return Array.from({ length: count }, () => seconds);
}

type Seen = Readonly<{ trained?: object; eviction?: object; crash?: object }>;

function result({ trained: changed = {}, eviction = {}, crash = {} }: Seen) {
  const prompt = (losses: object) => new Map<string, readonly number[]>(Object.entries(losses));
  return recoveryResult({
    way: "x",
    trained: { ...trained, ...changed },
    plain: {
      eviction: {
        prompt: prompt({ ...evicted, ...eviction }),
        backingOff: new Map([["job", { seconds: [10.5, 20.5], notWaitedFor: 18 }]]),
      },
      crash: { prompt: prompt({ ...crashed, ...crash }), backingOff: new Map() },
    },
  });
}

describe("the recovery measure", () => {
  test("holds where the goals are met", () => {
    expect(holds(result({}))).toBe(true);
  });

  test("tells each contender's figures, and how often one that backs off was not waited for", () => {
    expect(result({}).figures).toMatchObject({
      plainEviction: {
        trainingRun: { medianSeconds: 1.6, ratioToJobSet: 0.889, firstSeconds: 1.6, lastSeconds: 1.6 },
        jobSet: { ratioToJobSet: 1 },
        job: { seconds: [10.5, 20.5], notWaitedFor: 18 },
      },
      plainCrash: { trainingRun: { ratioToJobSet: 0.806 } },
    });
  });

  const slowAtTheEnd = [...times(15, 1.2), ...times(5, 1.75)];
  const broken: readonly [string, Seen][] = [
    ["there were nine evictions", { trained: { ours: trained.ours.slice(0, 9) } }],
    ["there were none", { trained: { ours: [] } }],
    ["the median is 2.1 s above the Job's start", { trained: { ours: times(12, 4.1) } }],
    ["two recoveries took twice the median", { trained: { ours: at(4, 6).with(5, 6) } }],
    ["the tenth took a second longer than the first", { trained: { ours: at(9, 4) } }],
    ["one recovery was never measured", { trained: { ours: at(5, Number.NaN) } }],
    ["no Job was started", { trained: { starts: [] } }],
    ["a Job's start was never measured", { trained: { starts: [2, Number.NaN, 2] } }],
    ["the Job was never evicted", { trained: { theirs: [] } }],
    ["an evicted JobSet is faster", { eviction: { jobSet: times(20, 1.5) } }],
    ["a crashed JobSet is faster", { crash: { jobSet: times(5, 2.4) } }],
    ["a plain container was evicted nineteen times", { eviction: { trainingRun: times(19, 1.6) } }],
    ["the JobSet crashed four times", { crash: { jobSet: times(4, 3.1) } }],
    ["no JobSet was there", { eviction: { jobSet: [] } }],
    [
      "one eviction of a plain container was never measured",
      { eviction: { trainingRun: [...times(19, 1), Number.NaN] } },
    ],
    ["the last five plain ones are slower than the first", { eviction: { trainingRun: slowAtTheEnd } }],
  ];
  test.each(broken)("does not hold where %s", (_what, change) => {
    expect(holds(result(change))).toBe(false);
  });
});
