import { describe, expect, test } from "vitest";
import { type AttackRow, attacksResult, testRow } from "./attacks.ts";
import { holds } from "./result.ts";

const good: AttackRow = { run: 800, held: 800, controls: 800, falseAlarms: 0 };

describe("the attacks measure", () => {
  test("holds where every attack was refused and no control was", () => {
    expect(holds(attacksResult({ tests: good, bits: good }))).toBe(true);
  });

  const broken: readonly [string, Partial<AttackRow>][] = [
    ["one attack was accepted", { held: 799 }],
    ["one kind was not run", { run: 0, held: 0 }],
    ["a control was refused", { falseAlarms: 1 }],
    ["there were too few controls", { controls: 100 }],
  ];
  test.each(broken)("does not hold where %s", (_what, change) => {
    expect(holds(attacksResult({ tests: good, bits: { ...good, ...change } }))).toBe(false);
  });

  test("counts a file of attacks that broke before its first test", () => {
    expect(testRow({ success: true, numTotalTests: 9, numPassedTests: 9 })).toMatchObject({ run: 9, held: 9 });
    expect(testRow({ success: false, numTotalTests: 9, numPassedTests: 9 })).toMatchObject({ run: 10, held: 9 });
    expect(testRow({ success: false, numTotalTests: 9, numPassedTests: 8 })).toMatchObject({ run: 9, held: 8 });
  });
});
