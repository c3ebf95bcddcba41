import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError, NoAnswerError } from "../kubernetes/api-error.ts";
import { pods } from "../kubernetes/resource.ts";
import { WorkQueue } from "../kubernetes/work-queue.ts";
import { type PassOutcome, runController } from "./controller.ts";

const attempted = { method: "GET", target: { resource: pods } };
const answered = (status: number, retryAfterMs?: number) =>
  new ApiError(attempted, { status, reason: "", detail: "", retryAfterMs });

describe("the controller's loop", () => {
  let queue: WorkQueue;
  let passes: string[];
  let outcomes: (PassOutcome | Error)[];
  let told: string[];
  let loop: Promise<void>;
  let stuck: boolean;

  beforeEach(() => {
    vi.useFakeTimers();
    queue = new WorkQueue({ firstMs: 1_000, maxMs: 60_000, random: () => 1 }, Date.now);
    passes = [];
    outcomes = [];
    told = [];
    stuck = false;
    loop = runController({
      queue,
      workers: 2,
      passLimitMs: 120_000,
      reconcile: async (key, signal) => {
        passes.push(key);
        if (stuck) await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
        const outcome = outcomes.shift() ?? { kind: "Settled" };
        if (outcome instanceof Error) throw outcome;
        return outcome;
      },
      onPass: (key, { outcome, error }) => told.push(`${key} ${error === undefined ? outcome?.kind : String(error)}`),
    });
  });
  afterEach(async () => {
    await queue.shutDown();
    await loop;
    vi.useRealTimers();
  });

  const after = (ms: number) => vi.advanceTimersByTimeAsync(ms);

  it("runs a pass for a key, and no other until it is asked", async () => {
    queue.add("a");
    await after(60_000);
    expect(told).toEqual(["a Settled"]);
  });

  it("comes back when the pass asked for it", async () => {
    outcomes = [{ kind: "Settled", requeueAfterMs: 5_000 }];
    queue.add("a");
    await after(4_999);
    expect(passes.length).toBe(1);
    await after(1);
    expect(passes.length).toBe(2);
  });

  it("survives a pass that throws, and repeats it later each time until one settles", async () => {
    outcomes = [new Error("x"), new Error("x"), new Error("x"), { kind: "Settled" }, new Error("y")];
    queue.add("a");
    await after(7_000);
    expect(told).toEqual(["a Error: x", "a Error: x", "a Error: x", "a Settled"]);
    queue.add("a");
    await after(1_000);
    expect(told.slice(4)).toEqual(["a Error: y", "a Settled"]);
  });

  it("repeats a refused pass later each time, not at once", async () => {
    outcomes = [{ kind: "Again", why: "quota" }, { kind: "Again", why: "quota" }, { kind: "Settled" }];
    queue.add("a");
    await after(2_999);
    expect(passes.length).toBe(2);
    await after(1);
    expect(told).toEqual(["a Again", "a Again", "a Settled"]);
  });

  it("takes a pass that was held back neither for a failure nor for the end of a row of them", async () => {
    const held: PassOutcome = { kind: "Held", requeueAfterMs: 10 };
    const again: PassOutcome = { kind: "Again", why: "quota" };
    outcomes = [again, held, again, held, again, { kind: "Settled" }];
    queue.add("a");
    await after(1_010 + 2_010 + 3_999);
    expect(told).toEqual(["a Again", "a Held", "a Again", "a Held", "a Again"]);
    await after(1);
    expect(told.at(-1)).toBe("a Settled");
  });

  it("is not hurried by a storm of wakes for what keeps failing", async () => {
    outcomes = Array.from({ length: 100 }, () => ({ kind: "Again", why: "quota" }));
    for (let elapsed = 0; elapsed < 60_000; elapsed += 100) {
      queue.add("a");
      await after(100);
    }
    expect(passes.length).toBe(6);
  });

  it("goes on without a pass that outlives its limit, and repeats it", async () => {
    stuck = true;
    for (const key of ["a", "b"]) queue.add(key);
    await after(119_999);
    expect(told).toEqual([]);
    stuck = false;
    await after(1);
    const words = (key: string) =>
      `${key} PassLimitError: Cannot go on with the pass over ${key} because 120 s are over`;
    expect(told).toEqual([words("a"), words("b")]);
    await after(1_000);
    expect(told.slice(2)).toEqual(["a Settled", "b Settled"]);
  });

  it.each([
    ["a server that asks to be left alone", [answered(429, 30_000)], 30_000],
    ["a server that asks for more than a minute", [answered(429, 3_600_000)], 60_000],
    ["a server that is away, soon after it is back", Array<Error>(7).fill(new NoAnswerError(attempted, "")), 10_000],
    ["a server that fails, soon after it works again", Array<Error>(7).fill(answered(503)), 10_000],
  ])("repeats a pass without a sleeping worker, for %s", async (_, errors, lastWaitMs) => {
    outcomes = [...errors];
    queue.add("a");
    while (passes.length < errors.length) await after(100);
    expect(queue.running).toBe(0);
    await after(lastWaitMs - 101);
    expect(passes.length).toBe(errors.length);
    await after(101);
    expect(passes.length).toBe(errors.length + 1);
  });

  it("ends when the queue is shut down", async () => {
    await queue.shutDown();
    await expect(loop).resolves.toBeUndefined();
  });
});
