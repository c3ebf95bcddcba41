import { describe, expect, test } from "vitest";
import { failoverResult } from "./failover.ts";
import type { FailoverRounds } from "./failover-rounds.ts";
import { holds } from "./result.ts";

const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);
const harmless = { writesTried: 2, writesTaken: 0, podsChanged: 0 };

describe("the failover measure", () => {
  test("holds where every change was in time and nobody who was woken did harm", () => {
    expect(holds(failoverResult(seen({})))).toBe(true);
  });

  test("counts what was done by whom was woken", () => {
    const woken = [...times(8, harmless), { ...harmless, writesTaken: 2 }, { ...harmless, podsChanged: 1 }];
    expect(failoverResult(seen({ woken })).figures).toMatchObject({ woken: 10, triedWrites: 20, harmfulWrites: 3 });
  });

  const broken: readonly [string, Partial<FailoverRounds>][] = [
    ["two of ten killed leaders were replaced too late", { killed: [...times(8, 14), 17.5, 17.5] }],
    ["two of ten stopped leaders were replaced too late", { stopped: [...times(8, 0.3), 2.5, 2.5] }],
    ["two of ten paused leaders were replaced too late", { paused: [...times(8, 14), 17.5, 17.5] }],
    ["too few were killed", { killed: times(9, 14) }],
    ["too few were stopped", { stopped: times(9, 0.3) }],
    ["too few were woken", { woken: times(9, harmless) }],
    ["one that was woken wrote something", { woken: [...times(9, harmless), { ...harmless, writesTaken: 1 }] }],
    ["there is another pod", { woken: [...times(9, harmless), { ...harmless, podsChanged: 1 }] }],
    ["a time is no number", { killed: [...times(10, 14), Number.NaN] }],
  ];
  test.each(broken)("does not hold where %s", (_what, change) => {
    expect(holds(failoverResult(seen(change)))).toBe(false);
  });
});

function seen(change: Partial<FailoverRounds>): FailoverRounds {
  return {
    killed: times(10, 14),
    stopped: times(10, 0.3),
    paused: times(10, 14),
    woken: times(10, harmless),
    ...change,
  };
}
