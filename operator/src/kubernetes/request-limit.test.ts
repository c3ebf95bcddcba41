import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { RequestLimit } from "./request-limit.ts";

const forever = new AbortController().signal;

describe("the request limit", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  async function admitted(limit: RequestLimit, callers: number): Promise<{ count: number }> {
    const seen = { count: 0 };
    for (let caller = 0; caller < callers; caller += 1) {
      void limit.acquireRate(forever).then(() => {
        seen.count += 1;
      });
    }
    await vi.advanceTimersByTimeAsync(0);
    return seen;
  }

  it("lets a burst through and then keeps to the rate", async () => {
    const seen = await admitted(new RequestLimit({ perSecond: 10, burst: 3, inFlight: 100 }, Date.now), 8);
    expect(seen.count).toBe(3);
    await vi.advanceTimersByTimeAsync(100);
    expect(seen.count).toBe(4);
    await vi.advanceTimersByTimeAsync(300);
    expect(seen.count).toBe(7);
  });

  it("earns no more than a burst in a quiet time", async () => {
    const limit = new RequestLimit({ perSecond: 10, burst: 3, inFlight: 100 }, Date.now);
    await vi.advanceTimersByTimeAsync(60_000);
    expect((await admitted(limit, 8)).count).toBe(3);
  });

  it("gives a token back when its caller leaves", async () => {
    const limit = new RequestLimit({ perSecond: 1, burst: 1, inFlight: 100 }, Date.now);
    await limit.acquireRate(forever);
    const leaving = new AbortController();
    const left = limit.acquireRate(leaving.signal).catch((error: unknown) => error);
    leaving.abort(new Error("left"));
    expect(await left).toEqual(new Error("left"));
    const next = admitted(limit, 1);
    await vi.advanceTimersByTimeAsync(1_000);
    expect((await next).count).toBe(1);
  });

  it("holds back what is beyond the places, and lets it in when one is released, once", async () => {
    const limit = new RequestLimit({ perSecond: 1000, burst: 1000, inFlight: 3 }, Date.now);
    const first = await limit.acquire(forever);
    await limit.acquire(forever);
    let third = false;
    void limit.acquire(forever).then(() => {
      third = true;
    });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(third).toBe(false);
    first.release();
    first.release();
    await vi.advanceTimersByTimeAsync(0);
    expect([third, limit.inFlight]).toEqual([true, 2]);
  });

  it("keeps places for lists while requests hang, and all that is free is given to either", async () => {
    const limit = new RequestLimit({ perSecond: 1000, burst: 1000, inFlight: 32 }, Date.now);
    for (let hanging = 0; hanging < 100; hanging += 1) void limit.acquire(forever);
    expect([limit.inFlight, limit.waiting]).toEqual([28, 72]);
    for (let list = 0; list < 5; list += 1) void limit.acquire(forever, "Control");
    expect([limit.inFlight, limit.waiting]).toEqual([32, 73]);
  });

  it("lets lists in first, and every fourth time what waits besides", async () => {
    const limit = new RequestLimit({ perSecond: 10, burst: 1, inFlight: 100 }, Date.now);
    await limit.acquire(forever);
    const order: string[] = [];
    const note = (kind: "Control" | "Work") => void limit.acquire(forever, kind).then(() => order.push(kind));
    for (let caller = 0; caller < 4; caller += 1) note("Work");
    for (let caller = 0; caller < 6; caller += 1) note("Control");
    await vi.advanceTimersByTimeAsync(10_000);
    expect(order.map((kind) => kind[0]).join("")).toBe("CCCWCCCWWW");
  });

  it("does not promise what callers that left had not been given yet", async () => {
    const limit = new RequestLimit({ perSecond: 10, burst: 1, inFlight: 100 }, Date.now);
    const sent: number[] = [];
    const come = (signal: AbortSignal) =>
      void limit.acquireRate(signal).then(
        () => sent.push(Date.now()),
        () => undefined,
      );
    const leaving = new AbortController();
    for (let caller = 0; caller < 50; caller += 1) come(leaving.signal);
    for (let caller = 0; caller < 50; caller += 1) come(forever);
    leaving.abort(new Error("left"));
    for (let caller = 0; caller < 50; caller += 1) come(forever);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(sent.length).toBe(51);
  });

  it("forgets a caller that left while it waited for a place", async () => {
    const limit = new RequestLimit({ perSecond: 1000, burst: 1000, inFlight: 1 }, Date.now);
    const first = await limit.acquire(forever);
    const leaving = new AbortController();
    const left = limit.acquire(leaving.signal).catch((error: unknown) => error);
    leaving.abort(new Error("left"));
    expect(await left).toEqual(new Error("left"));
    first.release();
    expect(limit.inFlight).toBe(0);
    await limit.acquire(forever);
    expect(limit.inFlight).toBe(1);
  });
});
