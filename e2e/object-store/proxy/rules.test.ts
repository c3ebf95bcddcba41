import { expect, test } from "vitest";
import type { Fault } from "./fault.ts";
import { type Rule, Rules } from "./rules.ts";
import { readS3Request } from "./s3-request.ts";

const fault: Fault = { kind: "Reset" };
const other: Fault = { kind: "LoseReply" };
const put = (key: string) => readS3Request("PUT", `/bucket/${key}`);

/** For each of these requests, whether the rule befalls it. */
function hits(rule: Omit<Rule, "fault">, requests: readonly ReturnType<typeof put>[]): boolean[] {
  const rules = new Rules();
  rules.add({ ...rule, fault });
  return requests.map((request) => rules.pick(request) !== undefined);
}

test.each([
  ["every request, when it says nothing", {}, [true, true, true]],
  ["those of a method", { method: "GET" }, [false, false, true]],
  ["those of an operation", { operation: "PutObject" }, [true, true, false]],
  ["those whose key matches", { key: /^log\//g }, [true, false, true]],
  ["the second that matches", { key: /^log\//, nth: 2 }, [false, false, true]],
] as const)("a rule befalls %s", (_, rule, expected) => {
  expect(hits(rule, [put("log/1"), put("data/1"), readS3Request("GET", "/bucket/log/1")])).toEqual(expected);
});

test("a rule with a chance befalls that share of requests, the same ones for the same seed", () => {
  const requests = Array.from({ length: 2_000 }, (_, number) => put(`${number}`));
  const first = hits({ chance: { of: 0.3, seed: 7 } }, requests);
  expect(hits({ chance: { of: 0.3, seed: 7 } }, requests)).toEqual(first);
  expect(hits({ chance: { of: 0.3, seed: 8 } }, requests)).not.toEqual(first);
  const share = first.filter(Boolean).length / requests.length;
  expect(share).toBeGreaterThan(0.25);
  expect(share).toBeLessThan(0.35);
});

test("the rule that came first goes first, and every rule counts on", () => {
  const rules = new Rules();
  const once = rules.add({ fault, nth: 1 });
  const second = rules.add({ fault: other, nth: 2 });
  const picked = [put("a"), put("b"), put("c")].map((request) => rules.pick(request)?.fault.kind);
  expect(picked).toEqual(["Reset", "LoseReply", undefined]);
  expect([once.hits, second.hits]).toEqual([1, 1]);
});

test("a rule that was removed befalls nothing, and lets go what it holds", async () => {
  const rules = new Rules();
  const rule = rules.add({ fault: { kind: "Hold", what: "Request" } });
  const held = rules.pick(put("a"));
  rule.remove();
  await held?.released.passed(AbortSignal.timeout(1_000));
  expect(rules.pick(put("a"))).toBeUndefined();
});
