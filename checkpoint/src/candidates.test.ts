import { describe, expect, test } from "vitest";
import { digestOf, log } from "../test/log-builder.ts";
import { candidates } from "./candidates.ts";
import type { Expected } from "./contract/pod-environment.ts";

/** 10 and 20 by attempt 1; attempt 2 rolled back to 10 and saved 15 and 20; 30 was left behind. */
const { state } = log()
  .open(1)
  .commit(1, 10)
  .commit(1, 20)
  .commit(1, 30)
  .open(2, digestOf(10, 1))
  .commit(2, 15)
  .commit(2, 20);

describe("candidates for a resume", () => {
  const cases: { what: string; expected: Partial<Expected>; found: string[] }[] = [
    { what: "follow the lineage, newest first", expected: {}, found: ["20/a2", "15/a2", "10/a1"] },
    {
      what: "leave out what the operator refuses",
      expected: { refused: [digestOf(20, 2)] },
      found: ["15/a2", "10/a1"],
    },
    { what: "are the chosen step alone", expected: { base: { step: 15 } }, found: ["15/a2"] },
    { what: "prefer the lineage where a step exists twice", expected: { base: { step: 20 } }, found: ["20/a2"] },
    { what: "may be a branch that was left", expected: { base: { step: 30 } }, found: ["30/a1"] },
    { what: "may be chosen by digest", expected: { base: { digest: digestOf(20, 1) } }, found: ["20/a1"] },
    {
      what: "must match both when both are given",
      expected: { base: { step: 10, digest: digestOf(20, 1) } },
      found: [],
    },
    { what: "are none for a step that was never saved", expected: { base: { step: 12 } }, found: [] },
    { what: "are none for a base without a choice", expected: { base: {} }, found: [] },
    {
      what: "are none when the chosen one is refused",
      expected: { base: { step: 15 }, refused: [digestOf(15, 2)] },
      found: [],
    },
  ];
  test.each(cases)("$what", ({ expected, found }) => {
    const refs = candidates(state, { base: null, refused: [], ...expected });
    expect(refs.map(({ step, attempt }) => `${step}/a${attempt}`)).toEqual(found);
  });
});
