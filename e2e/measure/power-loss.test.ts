import { describe, expect, test } from "vitest";
import { type PowerLossRow, powerLossResult } from "./power-loss.ts";
import { holds } from "./result.ts";

const good: PowerLossRow = { cuts: 20, states: 400, distinct: 60, exhausted: 15, held: 60 };

describe("the power loss measure", () => {
  test("holds where every state of every recording held and every planted mistake showed", () => {
    expect(holds(seen({}))).toBe(true);
  });

  test.each([
    ["one state did not hold", { row: { ...good, held: 59 } }],
    ["a recording has no states", { row: { ...good, distinct: 0, held: 0 } }],
    ["a planted mistake did not show", { uncaught: ["forgets to sync data"] }],
    ["hardly a mistake was planted", { planted: 3 }],
  ])("does not hold where %s", (_what, change) => {
    expect(holds(seen(change))).toBe(false);
  });
});

function seen({ row = good, planted = 20, uncaught = [] as readonly string[] }) {
  const names = ["save", "settle", "retention", "restore", "refusal", "finish", "compaction"];
  const rows = names.map((name) => [name, good] as const);
  return powerLossResult({ byScenario: { ...Object.fromEntries(rows), last: row }, missed: [], planted, uncaught });
}
