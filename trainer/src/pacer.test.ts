import { setImmediate as nextMacrotask, setTimeout as sleep } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import { type Missing, Pacer } from "./pacer.ts";

/** Copying of so many turns; each notes how much time it was given, and then misses this. */
function work(turns: number, { missing = "time", isStarved = true }: { missing?: Missing; isStarved?: boolean } = {}) {
  const given: number[] = [];
  const waits: number[] = [];
  return {
    given,
    waits,
    isStarved,
    waited: (milliseconds: number) => void waits.push(milliseconds),
    advance: (untilMs: number): Missing => {
      given.push(untilMs - performance.now());
      return given.length < turns ? missing : "nothing";
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

test("a save that has no room left waits for it within its time, and says how long", async () => {
  const pacer = new Pacer();
  const draining = work(3, { missing: "room" });
  pacer.attend(draining);
  const between = pacer.between(1_000_000);
  await vi.waitFor(() => {
    pacer.wake();
    expect(draining.given).toHaveLength(3);
  });
  await between;
  expect(draining.waits).toHaveLength(2);
});

test("training does not wait for room longer than a twentieth of the step", async () => {
  const pacer = new Pacer();
  const draining = work(9, { missing: "room" });
  pacer.attend(draining);
  await pacer.between(100);
  expect([draining.given.length, draining.waits.length]).toEqual([1, 1]);
});

test("training does not wait for a writer that has enough to do", async () => {
  const pacer = new Pacer();
  const draining = work(9, { missing: "room", isStarved: false });
  pacer.attend(draining);
  await pacer.between(1_000_000);
  expect([draining.given.length, draining.waits.length]).toEqual([1, 0]);
});

test.each(["before", "while"])("a stop that is asked for %s training waits ends the waiting", async (when) => {
  const pacer = new Pacer();
  const draining = work(9, { missing: "room" });
  const stop = new AbortController();
  pacer.attend(draining);
  if (when === "before") stop.abort();
  const between = pacer.between(1_000_000, stop.signal);
  await vi.waitFor(() => expect(draining.given).toHaveLength(1));
  stop.abort();
  await between;
  expect(draining.given).toHaveLength(1);
});

test("a save that ends while training waits for its room ends the waiting", async () => {
  const pacer = new Pacer();
  const draining = work(9, { missing: "room" });
  pacer.attend(draining);
  const between = pacer.between(1_000_000);
  await vi.waitFor(() => expect(draining.given).toHaveLength(1));
  pacer.attend(null);
  await between;
  expect(draining.given).toHaveLength(1);
});

test("what a step emptied is there when the copying begins, and what is asked during it is heard before the next", async () => {
  const pacer = new Pacer();
  const order: string[] = [];
  const draining = work(1);
  pacer.attend({
    ...draining,
    advance: (untilMs) => {
      order.push("copy");
      setImmediate(() => order.push("asked during it"));
      return draining.advance(untilMs);
    },
  });
  setImmediate(() => order.push("emptied"));
  await pacer.between(1_000);
  expect(order).toEqual(["emptied", "copy", "asked during it"]);
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
    ...draining,
    advance: (untilMs) => {
      const missing = draining.advance(untilMs);
      if (missing === "nothing") over.abort();
      return missing;
    },
  });
  await pacer.pause(60_000, over.signal);
  expect(draining.given).toHaveLength(5);
  pacer.wake();
  expect([draining.given.length, pacer.isFree]).toEqual([5, false]);
});

test("an evaluation that keeps the thread is held up by no turn of a save, and one that leaves it shares it", async () => {
  const pacer = new Pacer();
  const draining = work(9);
  pacer.attend(draining);
  await pacer.during(() => undefined);
  await nextMacrotask();
  expect(draining.given).toHaveLength(0);
  await pacer.during(() => vi.waitFor(() => expect(draining.given).toHaveLength(9)));
});

test("a save that has ended gets no turn", async () => {
  const pacer = new Pacer();
  const draining = work(9);
  pacer.attend(draining);
  pacer.attend(null);
  await pacer.between(10);
  expect(draining.given).toEqual([]);
});
