import { getEventListeners } from "node:events";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { within } from "./within.ts";

const forever = new AbortController().signal;

/** Work that ends only with its signal. */
function hang(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
}

describe("a limit of time", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("ends what hangs, and says after how long", async () => {
    const ended = expect(within(2_000, forever, hang)).rejects.toMatchObject({
      name: "TimeoutError",
      message: "no end within 2000 ms",
    });
    await vi.advanceTimersByTimeAsync(2_000);
    await ended;
  });

  it("ends what hangs with its caller, for the caller's reason", async () => {
    const caller = new AbortController();
    const ended = expect(within(2_000, caller.signal, hang)).rejects.toThrow("the caller left");
    caller.abort(new Error("the caller left"));
    await ended;
  });

  it("begins nothing for a caller that has left", async () => {
    const work = vi.fn(hang);
    await expect(within(2_000, AbortSignal.abort(new Error("the caller left")), work)).rejects.toThrow("left");
    expect(work).not.toHaveBeenCalled();
  });

  it.each([
    ["has come to its end", async () => 7],
    ["has failed", async () => Promise.reject(new Error("it broke"))],
  ])("leaves no timer and no listener where the work %s", async (_what, work) => {
    const caller = new AbortController();
    let its: AbortSignal | undefined;
    await within(2_000, caller.signal, (signal) => {
      its = signal;
      return work();
    }).catch(() => undefined);
    expect([vi.getTimerCount(), getEventListeners(caller.signal, "abort").length]).toEqual([0, 0]);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(its?.aborted).toBe(false);
  });
});
