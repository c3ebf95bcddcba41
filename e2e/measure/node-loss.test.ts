import { describe, expect, test } from "vitest";
import { type Loss, nodeLossResult } from "./node-loss.ts";
import { holds } from "./result.ts";

const good: Loss = {
  seconds: 34,
  lateRecords: 2,
  lateRecordsThatCount: 0,
  endedAlone: ["trainer", "agent"],
};
const three = (last: Partial<Loss> = {}) => [good, good, { ...good, ...last }];

describe("the node-loss measure", () => {
  test("holds where the goals are met, late records that count for nothing included", () => {
    expect(holds(nodeLossResult("containers", three()))).toBe(true);
  });

  const broken: readonly [string, readonly Loss[]][] = [
    ["two nodes were lost", three().slice(1)],
    ["none was", []],
    ["one took more than 20 s beyond the silence", three({ seconds: 50.1 })],
    ["one was never measured", three({ seconds: Number.NaN })],
    ["a record of a lost pod counts", three({ lateRecordsThatCount: 1 })],
    ["nothing was appended late, so that nothing was shown", three({ lateRecords: 0 })],
    ["an agent went on", three({ endedAlone: ["trainer"] })],
  ];
  test.each(broken)("does not hold where %s", (_what, losses) => {
    expect(holds(nodeLossResult("containers", losses))).toBe(false);
  });
});
