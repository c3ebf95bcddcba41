import { describe, expect, it } from "vitest";
import { healthFaults, readyFaults, type WatchHealth, type WorkHealth } from "./health.ts";

const now = 1_000_000;

const watch = (over: Partial<WatchHealth>): WatchHealth => ({
  about: "pods",
  state: "Watching",
  hasSynced: true,
  lostAt: undefined,
  completeAt: now,
  ...over,
});
describe("readiness", () => {
  const rows: readonly [name: string, over: Partial<WatchHealth>, faults: string[]][] = [
    ["is given while a watch is open", {}, []],
    ["waits for the first list", { hasSynced: false, lostAt: now }, ["pods has not been listed yet"]],
    ["is kept while a watch that ended is opened again", { lostAt: now - 5_000, state: "Opening" }, []],
    [
      "is lost where no watch can be opened",
      { lostAt: now - 6_000, state: "Waiting" },
      ["pods has not been watched for 6 s (Waiting)"],
    ],
    ["is kept by an open watch that has proved nothing for as long as one lasts", { completeAt: now - 60_000 }, []],
    [
      "is lost to an open watch that proves nothing for longer",
      { completeAt: now - 61_000 },
      ["pods may have missed changes for 61 s (Watching)"],
    ],
  ];
  it.each(rows)("%s", (_, over, faults) =>
    expect(readyFaults({ watches: [watch({}), watch(over)], now })).toEqual(faults),
  );
});

describe("health", () => {
  const rows: readonly [name: string, over: Partial<WorkHealth>, faults: string[]][] = [
    ["outlasts a pass that takes longer than it may", { longestPassMs: 300_000 }, []],
    [
      "is lost to a pass without end",
      { longestPassMs: 301_000 },
      ["a pass has taken 301 s, long past its own limit, and is stuck"],
    ],
    ["outlasts a term that takes long to end", { electionTurnMs: 30_000 }, []],
    [
      "is lost to an election that stands still",
      { electionTurnMs: 31_000 },
      ["the election has not got on for 31 s, and is stuck"],
    ],
  ];
  it.each(rows)("%s", (_, over, faults) =>
    expect(healthFaults({ longestPassMs: 0, electionTurnMs: undefined, ...over })).toEqual(faults),
  );
});
