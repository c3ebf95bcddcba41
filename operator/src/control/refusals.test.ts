import { expect, test } from "vitest";
import { Refusals } from "./refusals.ts";

const run = { uid: "run", key: "team/mnist" };
const refusal = {
  kind: "Pod",
  name: "mnist-1-0",
  status: 403,
  reason: "Forbidden",
  message: "exceeded quota",
  generation: 1,
} as const;
const at = (instant: number) => ({ ...refusal, at: instant, firstAt: instant, inVainSince: instant });

test("a refusal after another of the same object says when the first of them was, until the object stands", () => {
  const refusals = new Refusals();
  refusals.note(run, at(1));
  refusals.note(run, at(5));
  expect(refusals.of("run")).toEqual([{ ...refusal, at: 5, firstAt: 1, inVainSince: 1 }]);
  refusals.clear("run", refusal.name);
  refusals.note(run, at(9));
  expect(refusals.of("run")).toEqual([at(9)]);
});

test("what was refused to attempts long ago is forgotten, and what is refused again and again is not", () => {
  const refusals = new Refusals();
  for (let attempt = 1; attempt <= 1_000; attempt += 1) {
    refusals.note(run, { ...at(attempt), name: "claim" });
    refusals.note(run, { ...at(attempt), name: `mnist-${attempt}-0` });
  }
  expect(refusals.of("run").length).toBe(8);
  expect(refusals.of("run")).toContainEqual({ ...at(1_000), name: "claim", firstAt: 1, inVainSince: 1 });
  expect(refusals.of("run")).toContainEqual({ ...at(1_000), name: "mnist-1000-0" });
});

test("what an edit asks for has been refused in vain only since then", () => {
  const refusals = new Refusals();
  refusals.note(run, at(1));
  refusals.note(run, { ...at(5), generation: 2 });
  expect(refusals.of("run")).toEqual([{ ...at(5), generation: 2, firstAt: 1 }]);
});

test("where something goes, what a quota refuses there is looked at again, once a second, and as if newly refused", () => {
  const refusals = new Refusals();
  const policy = { ...at(1), name: "mnist", message: "runs are not welcome here" };
  refusals.note(run, at(1));
  refusals.note(run, policy);
  refusals.note({ uid: "other", key: "other/mnist" }, at(1));
  refusals.note({ uid: "unwelcome", key: "team/unwelcome" }, policy);
  expect(refusals.roomIn("elsewhere", 10_000)).toEqual([]);
  expect(refusals.roomIn("team", 10_000)).toEqual(["team/mnist"]);
  expect([refusals.roomIn("team", 10_999), refusals.roomIn("team", 11_000)]).toEqual([[], ["team/mnist"]]);
  expect(refusals.of("run")).toEqual([{ ...at(1), inVainSince: 11_000 }, policy]);
  expect(refusals.of("other")).toEqual([at(1)]);
  refusals.note(run, at(20_000));
  expect(refusals.of("run")).toContainEqual({ ...at(20_000), firstAt: 1, inVainSince: 11_000 });
});
