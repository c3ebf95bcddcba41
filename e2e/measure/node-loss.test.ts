import { describe, expect, test } from "vitest";
import { type Loss, nodeLossResult } from "./node-loss.ts";
import { holds } from "./result.ts";

const good: Loss = {
  storage: "SharedVolume",
  seconds: 34,
  lateRecords: 2,
  lateRecordsThatCount: 0,
  endedAlone: ["trainer", "agent"],
};
const all = (last: Partial<Loss> = {}): Loss[] => [good, good, good, { ...good, storage: "ObjectStore", ...last }];

describe("the node-loss measure", () => {
  test("holds where the goals are met, late records that count for nothing included", () => {
    expect(holds(nodeLossResult("containers", all()))).toBe(true);
  });

  const broken: readonly [string, readonly Loss[]][] = [
    ["two nodes were lost", all().slice(1)],
    ["none was lost that had no volume", all().slice(0, 3)],
    ["none was", []],
    ["one took more than 20 s beyond the silence", all({ seconds: 50.1 })],
    ["one was never measured", all({ seconds: Number.NaN })],
    ["a record of a lost pod counts", all({ lateRecordsThatCount: 1 })],
    ["nothing was appended late, so that nothing was shown", all({ lateRecords: 0 })],
    ["an agent went on", all({ endedAlone: ["trainer"] })],
  ];
  test.each(broken)("does not hold where %s", (_what, losses) => {
    expect(holds(nodeLossResult("containers", losses))).toBe(false);
  });
});
