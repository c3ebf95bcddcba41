import { describe, expect, it } from "vitest";
import { Allowance } from "./allowance.ts";

describe("how often something may be done about one thing", () => {
  const limits = { burst: 3, refillMs: 1_000, mostThings: 2 };
  const taken = (allowance: Allowance, name: string, now: number, tries: number) =>
    Array.from({ length: tries }, () => allowance.take(name, now)).filter((isAllowed) => isAllowed).length;

  it("is a burst at once, and then one more for each interval", () => {
    const allowance = new Allowance(limits);
    expect([taken(allowance, "a", 0, 10), allowance.nextAt("a", 0)]).toEqual([3, 1_000]);
    expect([taken(allowance, "a", 999, 10), allowance.nextAt("a", 999)]).toEqual([0, 1_000]);
    expect([taken(allowance, "a", 1_000, 10), allowance.nextAt("a", 1_400)]).toEqual([1, 2_000]);
    expect(taken(allowance, "a", 3_000, 10)).toBe(2);
  });

  it("never grows past its burst, however long nothing is done", () => {
    const allowance = new Allowance(limits);
    taken(allowance, "a", 0, 3);
    expect([allowance.nextAt("a", 1_000_000), taken(allowance, "a", 1_000_000, 10)]).toEqual([1_000_000, 3]);
  });

  it("is each thing's own", () => {
    const allowance = new Allowance(limits);
    expect([taken(allowance, "a", 0, 10), taken(allowance, "b", 0, 10)]).toEqual([3, 3]);
  });

  it("is kept for so many things, and forgotten for the one that it was longest ago", () => {
    const allowance = new Allowance(limits);
    for (const name of ["a", "b", "a", "c"]) taken(allowance, name, 0, 1);
    expect([taken(allowance, "a", 0, 3), taken(allowance, "c", 0, 3)]).toEqual([1, 2]);
    expect(taken(allowance, "b", 0, 3)).toBe(3);
  });
});
