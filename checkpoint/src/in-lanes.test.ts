import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { inLanes } from "./in-lanes.ts";

test("work goes on in as many lanes as it may, and reaches every item once", async () => {
  const [done, at] = [[] as number[], { once: 0, most: 0 }];
  await inLanes([1, 2, 3, 4, 5, 6, 7], 3, async (item) => {
    at.once += 1;
    at.most = Math.max(at.most, at.once);
    await turn();
    at.once -= 1;
    done.push(item);
  });
  expect(done.sort()).toEqual([1, 2, 3, 4, 5, 6, 7]);
  expect(at.most).toBe(3);
});

test("the first failure is thrown when nothing goes on any more, and nothing is begun after it", async () => {
  const [begun, over] = [[] as number[], [] as number[]];
  const work = inLanes([1, 2, 3, 4, 5], 2, async (item) => {
    begun.push(item);
    if (item === 1) throw new Error("first");
    await turn();
    over.push(item);
    if (item === 2) throw new Error("second");
  });
  await expect(work).rejects.toThrow("first");
  expect(begun).toEqual([1, 2]);
  expect(over).toEqual([2]);
});
