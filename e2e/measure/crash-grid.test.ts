import { describe, expect, test } from "vitest";
import { scenarios } from "../../checkpoint/test/crash-grid/scenarios.ts";
import { crashGridResult, type GridRow } from "./crash-grid.ts";
import { holds } from "./result.ts";

const good: GridRow = { calls: 50, cases: 150, held: 150, acknowledged: 60 };

describe("the crash grid's measure", () => {
  test("holds where every case of every scenario held", () => {
    expect(holds(seen({}))).toBe(true);
  });

  test.each([
    ["one case did not hold", { save: { ...good, held: 149 } }],
    ["a scenario was hardly played", { save: { ...good, cases: 20, held: 20 } }],
    ["a scenario was never played", { save: undefined }],
  ])("does not hold where %s", (_what, change) => {
    expect(holds(seen(change))).toBe(false);
  });
});

function seen(change: Readonly<Record<string, GridRow | undefined>>) {
  const rows = scenarios.flatMap(({ name }) => {
    const row = name in change ? change[name] : good;
    return row === undefined ? [] : [[name, row] as const];
  });
  return crashGridResult({ byScenario: Object.fromEntries(rows), missed: [] });
}
