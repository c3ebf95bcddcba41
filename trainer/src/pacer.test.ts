import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { Pacer } from "./pacer.ts";

/** Work of so many turns; each notes how much time it was given. */
function work(turns: number) {
  const given: number[] = [];
  return {
    given,
    advance: (untilMs: number) => {
      given.push(untilMs - performance.now());
      return given.length < turns;
    },
  };
}

test("without a save, a step is followed by one macrotask and nothing else", async () => {
  const pacer = new Pacer();
  let heard = false;
  setImmediate(() => {
    heard = true;
  });
  await pacer.between(10);
  expect(heard).toBe(true);
});

test("a save gets at most a twentieth of a step's time after it, and a turn even after the shortest", async () => {
  const pacer = new Pacer();
  const draining = work(1);
  pacer.attend(draining);
  await pacer.between(1_000_000);
  await pacer.between(0);
  const [long = Number.NaN, short = Number.NaN] = draining.given;
  expect([long <= 50_000, long > 0, short <= 0]).toEqual([true, true, true]);
});

test("a save goes on within its time as long as there is something to do", async () => {
  const pacer = new Pacer();
  const draining = work(3);
  pacer.attend(draining);
  await pacer.between(1_000_000);
  expect(draining.given).toHaveLength(3);
});

test("a save that waits for room gets no turn between steps before it is woken, and then at once", async () => {
  const pacer = new Pacer();
  const draining = work(1);
  pacer.attend(draining);
  pacer.wake();
  expect(draining.given).toHaveLength(0);
  pacer.release();
  expect(draining.given).toHaveLength(1);
  pacer.wake();
  await sleep(0);
  pacer.wake();
  expect(draining.given.length).toBeGreaterThan(1);
});

test("a save has the thread during a pause of the script, and not after it", async () => {
  const pacer = new Pacer();
  const draining = work(5);
  const over = new AbortController();
  pacer.attend({
    advance: (untilMs) => {
      const goesOn = draining.advance(untilMs);
      if (!goesOn) over.abort();
      return goesOn;
    },
  });
  await pacer.pause(60_000, over.signal);
  expect(draining.given).toHaveLength(5);
  pacer.wake();
  expect([draining.given.length, pacer.isFree]).toEqual([5, false]);
});

test("a save that has ended gets no turn", async () => {
  const pacer = new Pacer();
  const draining = work(9);
  pacer.attend(draining);
  pacer.attend(null);
  await pacer.between(10);
  expect(draining.given).toEqual([]);
});
