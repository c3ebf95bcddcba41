import { expect, test } from "vitest";
import { Awaited } from "./awaited.ts";

const forever = new AbortController().signal;

test("counts an object once, when another pod of it runs than the one that was taken", async () => {
  const awaited = new Awaited();
  awaited.expect("a", "old");
  awaited.runs("a", "old");
  awaited.runs("stranger", "new");
  expect(awaited.each).toEqual([]);
  awaited.runs("a", "new");
  awaited.runs("a", "newer");
  expect(awaited.each).toHaveLength(1);
  await awaited.ended(1_000, forever);
});

test("says how many lack a pod when the time is up", async () => {
  const awaited = new Awaited();
  awaited.expect("a");
  awaited.expect("b");
  await expect(awaited.ended(0, forever)).rejects.toThrow("2 have no running pod after 0 ms, such as a");
});
