import { describe, expect, it } from "vitest";
import { healthFaults, readyFaults, type WatchHealth } from "./health.ts";

const watch = (over: Partial<WatchHealth>): WatchHealth => ({
  about: "pods",
  state: "Watching",
  hasSynced: true,
  blindSince: undefined,
  staleSince: undefined,
  ...over,
});
const now = 1_000_000;

describe("readiness", () => {
  const rows: readonly [name: string, over: Partial<WatchHealth>, faults: string[]][] = [
    ["is given while a watch is open", {}, []],
    ["waits for the first list", { hasSynced: false, blindSince: now }, ["pods has not been listed yet"]],
    ["outlasts a minute of blindness", { blindSince: now - 60_000 }, []],
    [
      "is lost after more than a minute of blindness",
      { blindSince: now - 61_000, state: "Waiting" },
      ["pods has not been watched for 61 s (Waiting)"],
    ],
  ];
  it.each(rows)("%s", (_, over, faults) =>
    expect(readyFaults({ watches: [watch({}), watch(over)], now })).toEqual(faults),
  );
});

describe("health", () => {
  const rows: readonly [name: string, over: Partial<WatchHealth>, longestPassMs: number, faults: string[]][] = [
    ["does not depend on the server being there", { hasSynced: false, blindSince: 0, state: "Waiting" }, 0, []],
    ["outlasts a server that lags", { staleSince: now - 300_000 }, 0, []],
    [
      "is lost to a server that was set back",
      { staleSince: now - 301_000 },
      0,
      ["the server has shown states of pods older than ones already seen for 301 s"],
    ],
    ["outlasts a long pass", {}, 600_000, []],
    ["is lost to a pass without end", {}, 601_000, ["a pass has taken 601 s and may be stuck"]],
  ];
  it.each(rows)("%s", (_, over, longestPassMs, faults) =>
    expect(healthFaults({ watches: [watch(over)], longestPassMs, now })).toEqual(faults),
  );
});
