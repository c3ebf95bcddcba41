import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { WorkQueue } from "./work-queue.ts";

describe("the work queue", () => {
  let queue: WorkQueue;

  beforeEach(() => {
    vi.useFakeTimers();
    queue = new WorkQueue({ firstMs: 100, maxMs: 1_000, random: () => 1 }, Date.now);
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("gives each key once, in the order of their additions", async () => {
    for (const key of ["a", "b", "a", "c", "b"]) queue.add(key);
    expect([await queue.take(), await queue.take(), await queue.take(), queue.depth]).toEqual(["a", "b", "c", 0]);
  });

  it("hands a key to a worker that waits already", async () => {
    const taken = queue.take();
    queue.add("a");
    expect(await taken).toBe("a");
    expect(queue.running).toBe(1);
  });

  it("never runs a key twice at once, and runs it again where it was added meanwhile", async () => {
    queue.add("a");
    await queue.take();
    queue.add("a");
    queue.add("a");
    expect(queue.depth).toBe(0);
    queue.done("a");
    expect(queue.depth).toBe(1);
    expect(await queue.take()).toBe("a");
    queue.done("a");
    expect(queue.depth).toBe(0);
  });

  const takeAll = async () => {
    const taken: (string | undefined)[] = [];
    while (queue.depth > 0) taken.push(await queue.take());
    return taken;
  };

  it("gives patient keys where no urgent one waits, and in every fourth turn", async () => {
    for (const key of ["p1", "p2", "p3"]) queue.add(key, "Patient");
    for (const key of ["u1", "u2", "u3", "u4", "u5"]) queue.add(key);
    expect(queue.depth).toBe(8);
    expect(await takeAll()).toEqual(["u1", "u2", "u3", "p1", "u4", "u5", "p2", "p3"]);
  });

  it("lets nothing patient wait for ever, nor anything urgent for thousands", async () => {
    for (let key = 0; key < 5_000; key += 1) queue.add(`p${key}`, "Patient");
    queue.add("u");
    expect([await queue.take(), await queue.take()]).toContain("u");
  });

  it("gives a key once that is added in both ways, as urgently as it was ever asked for", async () => {
    queue.add("p", "Patient");
    queue.add("a", "Patient");
    queue.add("a");
    queue.add("a", "Patient");
    expect(await takeAll()).toEqual(["a", "p"]);
  });

  it("runs a key again as urgently as it was added meanwhile", async () => {
    queue.add("a");
    await queue.take();
    queue.add("a");
    queue.add("a", "Patient");
    queue.add("p", "Patient");
    queue.done("a");
    expect(await takeAll()).toEqual(["a", "p"]);
  });

  it("keeps the time of a delayed key that is added patiently", async () => {
    for (const key of ["u1", "u2"]) queue.add(key);
    queue.addAfter("a", 500);
    queue.add("a", "Patient");
    vi.advanceTimersByTime(500);
    queue.add("u3");
    expect(await takeAll()).toEqual(["u1", "u2", "a", "u3"]);
  });

  it("does not run a key again that was not added meanwhile", async () => {
    queue.add("a");
    await queue.take();
    queue.done("a");
    expect(queue.depth).toBe(0);
  });

  it("waits for a delayed key, and of two delays takes the earlier", () => {
    queue.addAfter("a", 500);
    queue.addAfter("a", 200);
    queue.addAfter("a", 900);
    vi.advanceTimersByTime(199);
    expect(queue.depth).toBe(0);
    vi.advanceTimersByTime(1);
    expect(queue.depth).toBe(1);
    vi.advanceTimersByTime(10_000);
    expect(queue.depth).toBe(1);
  });

  it("brings a delayed key forward when it is added", async () => {
    queue.addAfter("a", 500);
    queue.add("a");
    expect(await queue.take()).toBe("a");
    queue.done("a");
    vi.advanceTimersByTime(1_000);
    expect(queue.depth).toBe(0);
  });

  it("survives a delay longer than a timer can hold", () => {
    queue.addAfter("a", 2 ** 40);
    vi.advanceTimersByTime(60_000);
    expect(queue.depth).toBe(0);
  });

  it("backs off further each time in a row, per key, until the key is forgotten", () => {
    expect([1, 2, 3, 4, 5].map(() => queue.addBackedOff("a"))).toEqual([100, 200, 400, 800, 1_000]);
    expect(queue.addBackedOff("b")).toBe(100);
    queue.forget("a");
    expect(queue.addBackedOff("a")).toBe(100);
  });

  it("keeps a key that failed back until its back-off is over, however often it is added", () => {
    for (let failed = 0; failed < 5; failed += 1) queue.addBackedOff("a");
    for (let elapsed = 0; elapsed < 999; elapsed += 1) {
      queue.add("a");
      queue.addAfter("a", 1);
      vi.advanceTimersByTime(1);
    }
    expect(queue.depth).toBe(0);
    vi.advanceTimersByTime(1);
    expect(queue.depth).toBe(1);
  });

  it("keeps a key back that was added while its run failed", async () => {
    queue.add("a");
    await queue.take();
    queue.add("a");
    queue.addBackedOff("a");
    queue.done("a");
    expect(queue.depth).toBe(0);
    vi.advanceTimersByTime(100);
    expect(queue.depth).toBe(1);
  });

  it("runs a key at once whose failures are forgotten", () => {
    queue.addBackedOff("a");
    queue.forget("a");
    queue.add("a");
    expect(queue.depth).toBe(1);
  });

  it.each([
    ["waits as long as a failure asks for", { atLeastMs: 5_000 }, 5_000],
    ["waits no longer than a failure is worth", { atMostMs: 60 }, 60],
    ["waits as long as is asked for in any case", { atLeastMs: 5_000, atMostMs: 60 }, 5_000],
  ])("%s", (_, bounds, delayMs) => {
    expect(queue.addBackedOff("a", bounds)).toBe(delayMs);
    vi.advanceTimersByTime(delayMs - 1);
    expect(queue.depth).toBe(0);
    vi.advanceTimersByTime(1);
    expect(queue.depth).toBe(1);
  });

  it("at shutdown lets go of its takers, drops what waits, and drains what runs", async () => {
    queue.add("running");
    await queue.take();
    const waiting = queue.take();
    queue.addAfter("delayed", 100);
    let drained = false;
    const end = queue.shutDown().then(() => {
      drained = true;
    });
    queue.add("late");
    expect(await waiting).toBeUndefined();
    vi.advanceTimersByTime(1_000);
    expect([drained, queue.depth]).toEqual([false, 0]);
    queue.done("running");
    await end;
    expect(drained).toBe(true);
    expect(await queue.take()).toBeUndefined();
  });
});
