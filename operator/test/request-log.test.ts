import { describe, expect, it } from "vitest";
import { beyondRate, type LoggedRequest, mostAtOnce } from "./request-log.ts";

const from = (atMs: number, endedAtMs?: number): LoggedRequest => ({
  method: "GET",
  path: "/",
  isWatch: false,
  atMs,
  endedAtMs,
  status: 200,
  bytes: 0,
});

describe("what a log of requests shows", () => {
  it.each([
    ["nothing", [], 0],
    ["one after the other", [from(0, 5), from(5, 9)], 1],
    ["two that overlap, and one later", [from(0, 5), from(4, 9), from(20, 30)], 2],
    ["one inside another", [from(0, 100), from(4, 9), from(20, 30)], 2],
    ["ones that never end", [from(0), from(4), from(20, 30)], 3],
  ])("is how many were under way at once: %s", (_, log, most) => expect(mostAtOnce(log)).toBe(most));

  const limits = { burst: 3, perSecond: 2 };
  const each = (everyMs: number, count: number) => Array.from({ length: count }, (_, index) => from(index * everyMs));
  it.each([
    ["a burst", each(0, 3), 0],
    ["one more than a burst", each(0, 4), 1],
    ["the rate for long", each(500, 100), 0],
    ["a burst and then the rate", [...each(0, 3), from(500), from(1_000)], 0],
    ["a burst and then a little more than the rate", [...each(0, 3), from(400)], 1],
    ["a second burst before the bucket is full", [...each(0, 3), ...[from(1_000), from(1_000), from(1_000)]], 1],
    ["twice the rate for long, in any order", each(250, 100).reverse(), 48],
  ])("is by how much it goes past a rate: %s", (_, log, beyond) => expect(beyondRate(log, limits)).toBe(beyond));
});
