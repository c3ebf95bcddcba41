import { describe, expect, test } from "vitest";
import { corruptionResult, type DamageRow } from "./corruption.ts";
import { holds } from "./result.ts";

const kinds = ["truncate", "flip", "zero", "swap", "delete"];
const good: DamageRow = { damages: 50, found: 50, fellBack: 50 };

describe("the corruption measure", () => {
  test("holds where every damage was found and no control was refused", () => {
    expect(holds(seen({}))).toBe(true);
  });

  const broken: readonly [string, Parameters<typeof seen>[0]][] = [
    ["one damage was not found", { flip: { ...good, found: 49 } }],
    ["one resume went on from elsewhere", { swap: { ...good, fellBack: 49 } }],
    [
      "there were fewer than 200",
      { zero: { damages: 0, found: 0, fellBack: 0 }, flip: { damages: 49, found: 49, fellBack: 49 } },
    ],
    ["a kind was never tried", { zero: { damages: 0, found: 0, fellBack: 0 } }],
    ["a control was refused", { falseAlarms: 1 }],
    ["there were fewer controls than damages", { controls: 249 }],
  ];
  test.each(broken)("does not hold where %s", (_what, change) => {
    expect(holds(seen(change))).toBe(false);
  });
});

function seen({ falseAlarms = 0, controls = 250, ...rows }: Readonly<Record<string, unknown>>) {
  const byKind = Object.fromEntries(kinds.map((kind) => [kind, (rows[kind] ?? good) as DamageRow]));
  return corruptionResult({ byKind, missed: [], controls: Number(controls), falseAlarms: Number(falseAlarms) });
}
