import { describe, expect, test } from "vitest";
import { digestOf, log } from "../test/log-builder.ts";
import { a1, now, plan, policy, runOf } from "../test/retention-plan.ts";
import { carry } from "./log/fold.ts";
import { type RetentionInput, retain } from "./retention.ts";

describe("retention", () => {
  const cases: { what: string; input: Partial<RetentionInput>; keep: Record<number, string>; remove: number[] }[] = [
    {
      what: "removes nothing while less than two are verified",
      input: { verified: a1(50) },
      keep: {
        10: "newer-unproven",
        20: "newer-unproven",
        30: "newer-unproven",
        40: "newer-unproven last",
        50: "verified last",
      },
      remove: [],
    },
    {
      what: "keeps the last ones once they are verified",
      input: { verified: a1(40, 50) },
      keep: { 40: "verified last", 50: "verified last" },
      remove: [10, 20, 30],
    },
    {
      what: "counts what the operator has on record as verified, and keeps the newest of it",
      input: { verified: a1(40, 50), recorded: a1(20, 10) },
      keep: { 20: "recorded", 40: "verified last", 50: "verified last" },
      remove: [10, 30],
    },
    {
      what: "waits for the mirror where there is one",
      input: { verified: a1(30, 40, 50), mirrored: a1(20, 30) },
      keep: {
        10: "newer-unproven",
        20: "newer-unproven",
        30: "verified",
        40: "newer-unproven last",
        50: "newer-unproven last",
      },
      remove: [],
    },
    {
      what: "keeps the best and the multiples",
      input: {
        state: log().open(1).commit(1, 10, { loss: "0.01" }).commit(1, 20).commit(1, 30).commit(1, 40, { loss: "NaN" })
          .state,
        verified: a1(30, 40),
        policy: { ...policy, last: 2, best: { metric: "loss", mode: "Min", count: 1 }, everySteps: 20 },
      },
      keep: { 10: "best:loss", 20: "every:20", 30: "verified best:loss last", 40: "verified last every:20" },
      remove: [],
    },
    {
      what: "keeps the best that is verified until a better one is",
      input: {
        state: log()
          .open(1)
          .commit(1, 10, { loss: "0.3" })
          .commit(1, 20, { loss: "0.1" })
          .commit(1, 30, { loss: "0.5" })
          .commit(1, 40, { loss: "0.6" }).state,
        verified: a1(10, 30, 40),
        policy: { ...policy, best: { metric: "loss", mode: "Min", count: 1 } },
      },
      keep: { 10: "best:loss", 20: "best:loss", 30: "verified last", 40: "verified last" },
      remove: [],
    },
    {
      what: "keeps the base of the open attempt and the final checkpoint",
      input: {
        state: runOf([10, 20, 30])
          .open(2, digestOf(10, 1))
          .commit(2, 40)
          .commit(2, 50)
          .commit(2, 60)
          .done(2, digestOf(40, 2)).state,
        verified: [digestOf(50, 2), digestOf(60, 2)],
      },
      keep: { 10: "base", 40: "done", 50: "verified last", 60: "verified last" },
      remove: [20, 30],
    },
    {
      what: "keeps a branch that was left until the present one is ahead of it",
      input: {
        state: runOf([10, 90]).open(2, digestOf(10, 1)).commit(2, 20).commit(2, 30).state,
        verified: [digestOf(20, 2), digestOf(30, 2)],
      },
      keep: { 10: "base", 20: "verified last", 30: "verified last", 90: "left-behind" },
      remove: [],
    },
    {
      what: "keeps two from before the weights became NaN, and of those after no more than the policy wants",
      input: {
        state: runOf([10, 20, 30])
          .commit(1, 40, { unhealthy: true })
          .commit(1, 50, { unhealthy: true })
          .commit(1, 60, { unhealthy: true }).state,
        verified: a1(10, 20, 30, 40, 50, 60),
      },
      keep: { 20: "healthy", 30: "healthy", 50: "verified last", 60: "verified last" },
      remove: [10, 40],
    },
    {
      what: "keeps fresh evidence",
      input: { state: runOf([10, 20, 30, 40]).refuse(1, digestOf(20, 1)).state, verified: a1(30, 40) },
      keep: { 20: "evidence", 30: "verified last", 40: "verified last" },
      remove: [10],
    },
    {
      what: "lets evidence go after its window though fewer than two newer are verified: it never will be",
      input: {
        state: runOf([20, 30, 40]).refuse(1, digestOf(40, 1)).state,
        verified: a1(20, 30),
        now: "2026-01-02T00:00:01.000Z",
      },
      keep: { 20: "verified last", 30: "verified last" },
      remove: [40],
    },
    {
      what: "lets evidence go after its window though fewer than two are verified at all",
      input: {
        state: runOf([20, 30, 40, 50]).refuse(1, digestOf(40, 1)).refuse(1, digestOf(50, 1)).state,
        verified: a1(20),
        now: "2026-01-02T00:00:01.000Z",
      },
      keep: { 20: "verified last", 30: "newer-unproven last" },
      remove: [40, 50],
    },
    {
      what: "lets evidence go after its window, also when the clock of its writer ran ahead",
      input: {
        state: runOf([10, 20, 30, 40]).refuse(1, digestOf(20, 1)).state,
        verified: a1(30, 40),
        now: "2026-01-02T00:00:01.000Z",
      },
      keep: { 30: "verified last", 40: "verified last" },
      remove: [10, 20],
    },
  ];
  test.each(cases)("$what", ({ input, keep, remove }) => {
    expect(plan(input)).toMatchObject({ keep, remove, shrunk: null, pauseSaving: null });
  });

  test("shrinks to two verified, base and best when the next checkpoint would not fit", () => {
    const budget = { ...policy, last: 4, best: { metric: "loss", mode: "Max", count: 2 }, maxBytes: 500 } as const;
    expect(plan({ verified: a1(40, 50), policy: budget })).toEqual({
      keep: { 10: "best:loss", 40: "verified best:loss", 50: "verified" },
      remove: [20, 30],
      keptBytes: 300,
      shrunk: "300 bytes kept, 100 for the next checkpoint, 500 allowed",
      pauseSaving: null,
    });
  });

  test("pauses saving rather than go below the floor", () => {
    const tiny = plan({ verified: a1(40, 50), policy: { ...policy, maxBytes: 250 } });
    expect(tiny.keep).toEqual({ 40: "verified", 50: "verified" });
    const overview = "200 bytes kept, 100 for the next checkpoint, 250 allowed";
    expect(tiny.pauseSaving).toEqual({ limit: "Budget", overview });
  });

  test("counts what waits for its proof in the byte budget, and pauses saving where it never comes", () => {
    const waiting = plan({
      verified: a1(10, 20, 30, 40, 50),
      mirrored: a1(10, 20),
      policy: { ...policy, maxBytes: 550 },
    });
    const unproven = { 30: "newer-unproven", 40: "newer-unproven", 50: "newer-unproven" };
    expect(waiting.keep).toEqual({ 10: "verified", 20: "verified", ...unproven });
    const overview = "500 bytes kept, 100 for the next checkpoint, 550 allowed";
    expect(waiting).toMatchObject({ remove: [], pauseSaving: { limit: "Budget", overview } });
  });

  test("counts no bytes of what is not there, in the byte budget", () => {
    const tight = { verified: a1(10, 20), absent: a1(30, 50), policy: { ...policy, maxBytes: 400 } };
    const waiting = { 30: "newer-unproven", 40: "newer-unproven last", 50: "newer-unproven last" };
    expect(plan(tight)).toEqual({
      keep: { 10: "verified", 20: "verified", ...waiting },
      ...{ remove: [], keptBytes: 300, shrunk: null, pauseSaving: null },
    });
    const overview = "300 bytes kept, 100 for the next checkpoint, 399 allowed";
    expect(plan({ ...tight, policy: { ...policy, maxBytes: 399 } }).pauseSaving).toEqual({ limit: "Budget", overview });
  });

  test("pauses saving when what waits for its proof is as much as an open can carry", () => {
    const steps = Array.from({ length: 15_000 }, (_, index) => index + 1);
    const { state } = runOf(steps);
    const newest = { state, policy, recorded: [], now, verified: a1(14_999, 15_000) };
    const away = retain({ ...newest, mirrored: [] });
    expect(away.keep).toHaveLength(15_000);
    expect(away.pauseSaving).toEqual({
      limit: "Log",
      overview: expect.stringMatching(/^15000 checkpoints, for which the log lacks \d+ of 3145728 bytes$/),
    });
    const there = retain(newest);
    expect([there.keep.length, there.pauseSaving]).toEqual([2, null]);
  });

  test.each([
    { what: "milestones", wanting: { everySteps: 1 } },
    { what: "of the last", wanting: { last: 1_000_000 } },
  ])("lets the oldest $what go before an open could not carry them any more", ({ wanting }) => {
    const steps = Array.from({ length: 15_000 }, (_, index) => index + 1);
    const { state } = runOf(steps);
    const all = { ...policy, ...wanting };
    const { keep, remove } = retain({ state, policy: all, verified: a1(14_999, 15_000), recorded: [], now });
    expect(remove.map(({ ref }) => ref.step)).toEqual(steps.slice(0, remove.length));
    expect(remove[0]?.why).toBe("a rule keeps it, but the log has no room for more");
    const carried = carry({ ...state, checkpoints: keep.map(({ ref }) => ref) });
    const bytes = Buffer.byteLength(JSON.stringify(carried));
    expect(bytes).toBeLessThan(3 * 1024 * 1024 + 100);
    expect(bytes).toBeGreaterThan(3 * 1024 * 1024 - 1000);
  });
});
