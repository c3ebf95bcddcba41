import { describe, expect, test } from "vitest";
import { alignmentBytes, hold, isAligned, LentBuffers } from "./buffer-pool.ts";

describe("a buffer of the pool", () => {
  test("begins at a page of memory, as direct reads and writes need it", async () => {
    await using buffers = new LentBuffers(1);
    const buffer = await buffers.next();
    expect(isAligned(buffer)).toBe(true);
    expect(isAligned(buffer.subarray(alignmentBytes, 3 * alignmentBytes))).toBe(true);
    expect(isAligned(buffer.subarray(1))).toBe(false);
    expect(isAligned(new Uint8Array(alignmentBytes))).toBe(false);
  });

  test("is given again while nobody holds it, and no second one is taken", async () => {
    await using buffers = new LentBuffers(4);
    const first = await buffers.next();
    expect(await buffers.next()).toBe(first);
  });

  test("is kept as it is while somebody holds a part of it", async () => {
    await using buffers = new LentBuffers(2);
    const first = await buffers.next();
    const releases = [hold(first.subarray(10)), hold(first)];
    const second = await buffers.next();
    expect(second.buffer).not.toBe(first.buffer);
    const release = hold(second);
    const waited = buffers.next();
    releases[0]?.();
    expect(await Promise.race([waited, Promise.resolve("waits")])).toBe("waits");
    releases[1]?.();
    expect(await waited).toBe(first);
    release?.();
  });

  test("goes back to the pool when its last holder is done, not before", async () => {
    const buffers = new LentBuffers(1);
    const buffer = await buffers.next();
    const release = hold(buffer);
    const returned = buffers[Symbol.asyncDispose]();
    await using others = new LentBuffers(1);
    expect((await others.next()).buffer).not.toBe(buffer.buffer);
    release?.();
    await returned;
    await using again = new LentBuffers(1);
    expect((await again.next()).buffer).toBe(buffer.buffer);
  });

  test("cannot be held where it is not of the pool", () => {
    expect(hold(new Uint8Array(10))).toBeNull();
  });
});
