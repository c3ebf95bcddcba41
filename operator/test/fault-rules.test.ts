import { describe, expect, it } from "vitest";
import { type Fault, FaultRules, type Rule, type Seen } from "./fault-rules.ts";

const get: Seen = { method: "GET", path: "/api/v1/pods", isWatch: false };
const post: Seen = { ...get, method: "POST" };
const any = () => true;
const answer = (status: number): Fault => ({ kind: "Answer", status });
const befallen = (rules: FaultRules, times: number, seen: Seen = get) =>
  Array.from({ length: times }, () => {
    const fault = rules.pick(seen)?.fault;
    return fault?.kind === "Answer" ? fault.status : undefined;
  });

describe("the rules of a proxy", () => {
  it("befall what they match, as often as they say, the first one first", () => {
    const rules = new FaultRules();
    rules.add({ matches: ({ method }) => method === "POST", fault: answer(409) });
    const twice = rules.add({ matches: any, fault: answer(429), times: 2 });
    rules.add({ matches: any, fault: answer(500), times: 1 });
    expect(befallen(rules, 1, post)).toEqual([409]);
    expect(befallen(rules, 4)).toEqual([429, 429, 500, undefined]);
    expect(befallen(rules, 2, post)).toEqual([409, 409]);
    expect(twice.hits()).toBe(2);
  });

  it("end when they are removed, and let go what they hold, also after their last request", async () => {
    const rules = new FaultRules();
    const never = new AbortController().signal;
    const held = rules.add({ matches: any, fault: { kind: "Hold", what: "Request" }, times: 1 });
    const picked = rules.pick(get);
    held.remove();
    await picked?.released.passed(never);
    rules.add({ matches: any, fault: { kind: "ArriveLate" } });
    const late = rules.pick(get);
    rules.clear();
    await late?.released.passed(never);
    expect(befallen(rules, 1)).toEqual([undefined]);
  });

  it("toss a coin that only the seed decides, and about as often as it says", () => {
    const falls = (chance: NonNullable<Rule["chance"]>) => {
      const rules = new FaultRules();
      rules.add({ matches: any, fault: answer(500), chance });
      return befallen(rules, 1_000);
    };
    const hits = (chance: NonNullable<Rule["chance"]>) => falls(chance).filter((status) => status === 500).length;
    expect(falls({ of: 0.3, seed: 7 })).toEqual(falls({ of: 0.3, seed: 7 }));
    expect(falls({ of: 0.3, seed: 7 })).not.toEqual(falls({ of: 0.3, seed: 8 }));
    for (const seed of [1, 2, 3]) {
      expect(hits({ of: 0.3, seed })).toBeGreaterThan(230);
      expect(hits({ of: 0.3, seed })).toBeLessThan(370);
    }
    expect([hits({ of: 0, seed: 1 }), hits({ of: 1, seed: 1 })]).toEqual([0, 1_000]);
  });
});
