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
  refusals.note("run", at(1));
  refusals.note("run", at(5));
  expect(refusals.of("run")).toEqual([{ ...refusal, at: 5, firstAt: 1 }]);
  refusals.clear("run", refusal.name);
  refusals.note("run", at(9));
  expect(refusals.of("run")).toEqual([{ ...refusal, at: 9, firstAt: 9 }]);
});

test("what was refused to attempts long ago is forgotten, and what is refused again and again is not", () => {
  const refusals = new Refusals();
  for (let attempt = 1; attempt <= 1_000; attempt += 1) {
    refusals.note("run", { ...at(attempt), name: "claim" });
    refusals.note("run", { ...at(attempt), name: `mnist-${attempt}-0` });
  }
  expect(refusals.of("run").length).toBe(8);
  expect(refusals.of("run")).toContainEqual({ ...at(1_000), name: "claim", firstAt: 1 });
  expect(refusals.of("run")).toContainEqual({ ...at(1_000), name: "mnist-1000-0" });
});
