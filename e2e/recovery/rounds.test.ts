import { expect, test } from "vitest";
import { beside, inTurn, whileItFits } from "./rounds.ts";

test("interrupts each in every round, and begins each round with another", async () => {
  const order: string[] = [];
  const interrupt = async (name: string) => order.push(name);
  const seconds = await inTurn(["a", "b", "c"], { rounds: 4, interrupt });
  expect(order.join("")).toBe("abcbcacababc");
  expect([...seconds]).toEqual([
    ["a", [1, 6, 8, 10]],
    ["b", [2, 4, 9, 11]],
    ["c", [3, 5, 7, 12]],
  ]);
});

test.each([
  ["backs off longer and longer", [10, 20, 40, 80, 160], [10, 20, 40], 2],
  ["never waits", [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], 0],
  ["waits long at once", [70, 70, 70, 70, 70], [70], 4],
  ["could wait twice as long the next time", [30, 30, 30, 30, 30], [30, 30], 3],
])("of one that %s it waits for what fits into the time", async (_what, would, seconds, notWaitedFor) => {
  const left = [...would];
  const lane = await whileItFits({ times: 5, withinSeconds: 100 }, async () => left.shift() ?? Number.NaN);
  expect(lane).toEqual({ seconds, notWaitedFor });
});

const forever = new AbortController().signal;

test("the first of several that fails ends the others, and all are over when it is thrown", async () => {
  const ended: string[] = [];
  const waiting = (signal: AbortSignal) =>
    new Promise<void>((_resolve, reject) => {
      signal.addEventListener("abort", () => {
        ended.push("waiting");
        reject(new Error("ended"));
      });
    });
  const failing = async () => {
    throw new Error("broken");
  };
  await expect(beside(forever, [waiting, failing])).rejects.toThrow("broken");
  expect(ended).toEqual(["waiting"]);
});

test("several that succeed are all waited for", async () => {
  const done: number[] = [];
  const work = (which: number) => async () => void done.push(which);
  await beside(forever, [work(1), work(2)]);
  expect(done).toEqual([1, 2]);
});
