import { expect, test } from "vitest";
import { Refusals } from "./refusals.ts";

const refusal = {
  kind: "Pod",
  name: "mnist-1-0",
  status: 403,
  reason: "Forbidden",
  message: "exceeded quota",
} as const;
const at = (instant: number) => ({ ...refusal, at: instant, firstAt: instant });

test("a refusal after another of the same object says when the first of them was, until the object stands", () => {
  const refusals = new Refusals();
  expect([refusals.note("run", at(1)), refusals.note("run", at(5))]).toEqual([true, false]);
  expect(refusals.of("run")).toEqual([{ ...refusal, at: 5, firstAt: 1 }]);
  refusals.clear("run", refusal.name);
  refusals.note("run", at(9));
  expect(refusals.of("run")).toEqual([{ ...refusal, at: 9, firstAt: 9 }]);
});
