import { describe, expect, it } from "vitest";
import { mergePatchOf } from "./merge-patch.ts";

describe("the merge patch between two statuses", () => {
  const rows: readonly [name: string, before: unknown, after: unknown, patch: unknown][] = [
    [
      "is nothing where nothing differs",
      { a: 1, b: { c: [1, { d: 2 }] } },
      { b: { c: [1, { d: 2 }] }, a: 1 },
      undefined,
    ],
    ["names only the fields that changed", { a: 1, b: { c: 1, d: 2 } }, { a: 1, b: { c: 1, d: 3 } }, { b: { d: 3 } }],
    ["says null for a field that is gone", { stop: { attempt: 1 }, a: 1 }, { a: 1 }, { stop: null }],
    ["treats a field set to undefined as gone", { stop: 1 }, { stop: undefined }, { stop: null }],
    ["does not say null for a field that was never there", {}, { stop: undefined }, undefined],
    ["says null deep inside", { a: { b: 1, c: 2 } }, { a: { c: 2 } }, { a: { b: null } }],
    ["replaces lists whole", { a: [1, 2, 3] }, { a: [1, 3] }, { a: [1, 3] }],
    ["sends a whole object where there was none", undefined, { a: 1 }, { a: 1 }],
    ["replaces a list by an object", { a: [1] }, { a: { b: 1 } }, { a: { b: 1 } }],
    ["keeps a longer list apart from a shorter one", { a: [] }, { a: [1] }, { a: [1] }],
  ];
  it.each(rows)("%s", (_, before, after, patch) => expect(mergePatchOf(before, after)).toEqual(patch));
});
