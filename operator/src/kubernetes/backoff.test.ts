import { describe, expect, it } from "vitest";
import { backoffMs } from "./backoff.ts";

describe("backoff", () => {
  const options = { firstMs: 100, maxMs: 5_000 };
  const rows: readonly [failures: number, shortest: number, longest: number][] = [
    [1, 50, 100],
    [2, 100, 200],
    [5, 800, 1_600],
    [7, 2_500, 5_000],
    [1_000_000, 2_500, 5_000],
  ];
  it.each(rows)("after %i failures in a row waits from %i to %i ms", (failures, shortest, longest) => {
    expect(backoffMs(failures, { ...options, random: () => 0 })).toBe(shortest);
    expect(backoffMs(failures, { ...options, random: () => 1 })).toBe(longest);
  });
});
