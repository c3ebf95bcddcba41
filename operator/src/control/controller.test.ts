import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { WorkQueue } from "../kubernetes/work-queue.ts";
import { type PassOutcome, runController } from "./controller.ts";

describe("the controller's loop", () => {
  let queue: WorkQueue;
  let passes: string[];
  let outcomes: (PassOutcome | Error)[];
  let told: string[];
  let loop: Promise<void>;

  beforeEach(() => {
    vi.useFakeTimers();
    queue = new WorkQueue({ firstMs: 1_000, maxMs: 60_000, random: () => 1 }, Date.now);
    passes = [];
    outcomes = [];
    told = [];
    loop = runController({
      queue,
      workers: 2,
      reconcile: async (key) => {
        passes.push(key);
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

  it("ends when the queue is shut down", async () => {
    await queue.shutDown();
    await expect(loop).resolves.toBeUndefined();
  });
});
