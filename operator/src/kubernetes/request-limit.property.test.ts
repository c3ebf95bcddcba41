import fc from "fast-check";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type RequestClass, RequestLimit, type Slot } from "./request-limit.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

type Step =
  | Readonly<{ kind: "Come"; as: RequestClass | "Watch" }>
  | Readonly<{ kind: "Leave" | "End"; which: number }>
  | Readonly<{ kind: "Wait"; ms: number }>;

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant("Come" as const),
        as: fc.constantFrom<RequestClass | "Watch">("Control", "Work", "Watch"),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("Leave" as const, "End" as const), which: fc.nat(50) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("Wait" as const), ms: fc.nat(700) }) },
  ),
  { minLength: 20, maxLength: 80, size: "max" },
);

/** Callers of a limit as they come, are let in, leave and end. */
class Callers {
  readonly sentAt: number[] = [];
  readonly waiting: AbortController[] = [];
  readonly slots: Slot[] = [];
  readonly #limit: RequestLimit;

  constructor(limit: RequestLimit) {
    this.#limit = limit;
  }

  come(as: RequestClass | "Watch"): void {
    const leaving = new AbortController();
    const entry = as === "Watch" ? this.#limit.acquireRate(leaving.signal) : this.#limit.acquire(leaving.signal, as);
    this.waiting.push(leaving);
    entry.then(
      (slot) => {
        this.sentAt.push(Date.now());
        if (slot !== undefined) this.slots.push(slot);
        this.waiting.splice(this.waiting.indexOf(leaving), 1);
      },
      () => undefined,
    );
  }

  leave(which: number): void {
    const [leaving] = this.waiting.splice(which % Math.max(1, this.waiting.length), 1);
    leaving?.abort(new Error("left"));
  }

  end(which: number): void {
    const [slot] = this.slots.splice(which % Math.max(1, this.slots.length), 1);
    slot?.release();
  }
}

it("is kept in any window of time, whoever comes, leaves and ends, and everybody who stays is let in", async () => {
  const limits = fc.record({
    perSecond: fc.integer({ min: 1, max: 50 }),
    burst: fc.integer({ min: 1, max: 10 }),
    inFlight: fc.integer({ min: 1, max: 9 }),
  });
  let most = 0;
  await fc.assert(
    fc.asyncProperty(limits, steps, async (given, taken) => {
      const limit = new RequestLimit(given, Date.now);
      const callers = new Callers(limit);
      for (const step of taken) {
        if (step.kind === "Come") callers.come(step.as);
        else if (step.kind === "Leave") callers.leave(step.which);
        else if (step.kind === "End") callers.end(step.which);
        await vi.advanceTimersByTimeAsync(step.kind === "Wait" ? step.ms : 0);
        expect(limit.inFlight).toBeLessThanOrEqual(given.inFlight);
      }
      while (callers.waiting.length > 0) {
        while (callers.slots.length > 0) callers.end(0);
        const before = callers.sentAt.length;
        await vi.advanceTimersByTimeAsync(1_000 / given.perSecond + 1);
        expect(callers.sentAt.length).toBeGreaterThan(before);
      }
      most = Math.max(most, callers.sentAt.length);
      for (const [first, from] of callers.sentAt.entries()) {
        for (const [beyond, to] of callers.sentAt.slice(first).entries()) {
          expect(beyond + 1).toBeLessThanOrEqual(given.burst + (given.perSecond * (to - from)) / 1000 + 1e-6);
        }
      }
    }),
    { numRuns: 300 },
  );
  expect(most).toBeGreaterThan(30);
});
