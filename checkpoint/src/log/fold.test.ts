import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { digestOf, type LogBuilder, log } from "../../test/log-builder.ts";
import { candidates } from "../candidates.ts";
import { fold } from "./fold.ts";
import { emptyState, type RunState } from "./state.ts";

const steps = (state: RunState) => state.checkpoints.map(({ step, attempt }) => `${step}/a${attempt}`);

describe("what a log says", () => {
  const cases: { what: string; log: LogBuilder; commits: string[]; resume: number[] }[] = [
    { what: "nothing, when it is empty", log: log(), commits: [], resume: [] },
    { what: "nothing of an attempt that never opened", log: log().commit(1, 10), commits: [], resume: [] },
    {
      what: "the commits of the open attempt, newest first",
      log: log().open(1).commit(1, 10).commit(1, 20),
      commits: ["10/a1", "20/a1"],
      resume: [20, 10],
    },
    {
      what: "not what a zombie commits after a newer open",
      log: log().open(1).commit(1, 10).open(2, digestOf(10, 1)).commit(1, 20).commit(2, 15),
      commits: ["10/a1", "15/a2"],
      resume: [15, 10],
    },
    {
      what: "what a zombie committed before the newer open, though not as a candidate above its base",
      log: log().open(1).commit(1, 10).commit(1, 20).open(2, digestOf(10, 1)),
      commits: ["10/a1", "20/a1"],
      resume: [10],
    },
    {
      what: "a rollback, even if its attempt dies before the first save",
      log: log().open(1).commit(1, 10).commit(1, 20).commit(1, 30).open(2, digestOf(20, 1)),
      commits: ["10/a1", "20/a1", "30/a1"],
      resume: [20, 10],
    },
    {
      what: "a start over: nothing older is a candidate",
      log: log().open(1).commit(1, 10).open(2),
      commits: ["10/a1"],
      resume: [],
    },
    {
      what: "not what was refused",
      log: log().open(1).commit(1, 10).commit(1, 20).refuse(2, digestOf(20, 1)),
      commits: ["10/a1", "20/a1"],
      resume: [10],
    },
    {
      what: "not what was deleted, and its ancestors still",
      log: log()
        .open(1)
        .commit(1, 10)
        .commit(1, 20)
        .open(2, digestOf(20, 1))
        .commit(2, 30)
        .open(3, digestOf(30, 2))
        .commit(3, 40)
        .delete(3, digestOf(20, 1)),
      commits: ["10/a1", "30/a2", "40/a3"],
      resume: [40, 30, 10],
    },
    {
      what: "that a deletion of the base counts for nothing",
      log: log().open(1).commit(1, 10).open(2, digestOf(10, 1)).delete(2, digestOf(10, 1)),
      commits: ["10/a1"],
      resume: [10],
    },
    {
      what: "that a zombie's tombstone counts for nothing",
      log: log().open(1).commit(1, 10).commit(1, 20).open(2, digestOf(20, 1)).delete(1, digestOf(10, 1)),
      commits: ["10/a1", "20/a1"],
      resume: [20, 10],
    },
    {
      what: "that a commit below its attempt's base counts for nothing",
      log: log().open(1).commit(1, 10).open(2, digestOf(10, 1)).commit(2, 9).commit(2, 10),
      commits: ["10/a1", "10/a2"],
      resume: [10, 10],
    },
    {
      what: "that what was deleted is not committed again",
      log: log().open(1).commit(1, 10).delete(1, digestOf(10, 1)).commit(1, 10),
      commits: [],
      resume: [],
    },
  ];
  test.each(cases)("$what", ({ log: { state }, commits, resume }) => {
    expect(steps(state)).toEqual(commits);
    expect(candidates(state, { base: null, refused: [] }).map(({ step }) => step)).toEqual(resume);
  });

  test("an attempt is opened by one pod: the second is void, and so is a lower attempt", () => {
    const { state } = log().open(2, null, "first").open(2, null, "second").open(1, null, "zombie");
    expect(state.opened).toMatchObject({ attempt: 2, podUid: "first", number: 1 });
  });

  test("the pod that opened may choose another base until something is built on the first", () => {
    const built = log().open(1).commit(1, 10).commit(1, 20).open(2, digestOf(20, 1)).open(2, digestOf(10, 1));
    expect(built.state.opened?.base).toBe(digestOf(10, 1));
    expect(built.commit(2, 15).open(2, digestOf(20, 1)).state.opened?.base).toBe(digestOf(10, 1));
  });

  test("done holds until the run goes on, and a refused checkpoint is not final", () => {
    const finished = log().open(1).commit(1, 10).done(1, digestOf(10, 1));
    expect(finished.state.done).toEqual({ attempt: 1, manifest: digestOf(10, 1) });
    expect(finished.open(2, digestOf(10, 1)).state.done).toBeNull();
    expect(log().open(1).commit(1, 10).refuse(1, digestOf(10, 1)).done(1, digestOf(10, 1)).state.done).toBeNull();
  });

  test("a damaged record counts for nothing and is named", () => {
    const { records } = log().open(1).commit(1, 10).commit(1, 20);
    const damaged = records.map((entry) => (entry.number === 2 ? { number: 2, damaged: "flipped" } : entry));
    expect(steps(fold(damaged))).toEqual(["20/a1"]);
    expect(fold(damaged).damaged).toEqual([2]);
  });

  test("attempts of which nothing is left are not carried on for ever", () => {
    const long = log().open(1).commit(1, 10);
    for (let attempt = 2; attempt <= 50; attempt += 1) long.open(attempt, digestOf(10, 1));
    expect(long.state.attempts.map(({ attempt }) => attempt)).toEqual([1, 50]);
  });
});

/** Anything that any attempt may try at any time, zombies included. */
const event = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("commit"), attempt: fc.integer({ min: 1, max: 4 }), pick: fc.nat(9) }),
  },
  fc.record({
    kind: fc.constantFrom("open", "refuse", "delete", "done"),
    attempt: fc.integer({ min: 1, max: 5 }),
    pick: fc.nat(9),
  }),
);
type Event = typeof event extends fc.Arbitrary<infer T> ? T : never;

function play(builder: LogBuilder, { kind, attempt, pick }: Event): void {
  const known = builder.state.checkpoints;
  const target = known[pick % Math.max(1, known.length)]?.digest ?? digestOf(1, 1);
  if (kind === "open") builder.open(attempt, pick % 3 === 0 ? null : target, `pod-${attempt}-${pick % 2}`);
  else if (kind === "commit") builder.commit(attempt, 10 + pick);
  else if (kind === "refuse") builder.refuse(attempt, target);
  else if (kind === "delete") builder.delete(attempt, target);
  else builder.done(attempt, target);
}

describe("any interleaving of attempts and zombies", () => {
  test("is one history: no record counts after a higher open, and no attempt is opened by two pods (I1)", () => {
    let fencedRecords = 0;
    const property = fc.property(fc.array(event, { minLength: 5, maxLength: 40 }), (events) => {
      const builder = log();
      const pods = new Map<number, string>();
      for (const next of events) {
        const before = builder.state;
        play(builder, next);
        const after = builder.state;
        expect(after.opened?.attempt ?? 0).toBeGreaterThanOrEqual(before.opened?.attempt ?? 0);
        if (after.opened !== null) {
          expect(pods.get(after.opened.attempt) ?? after.opened.podUid).toBe(after.opened.podUid);
          pods.set(after.opened.attempt, after.opened.podUid);
        }
        if (before.opened !== null && next.attempt < before.opened.attempt) {
          fencedRecords += 1;
          expect({ ...after, last: before.last }).toEqual(before);
        }
        const base = after.opened?.base ?? null;
        if (base !== null) expect(after.checkpoints.some(({ digest }) => digest === base)).toBe(true);
      }
    });
    fc.assert(property, { numRuns: 1000 });
    expect(fencedRecords).toBeGreaterThan(500);
  });

  test("folds the same from its newest open as from its first record", () => {
    let shortened = 0;
    const property = fc.property(fc.array(event, { minLength: 5, maxLength: 40 }), (events) => {
      const builder = log();
      for (const next of events) play(builder, next);
      const newest = builder.state.opened?.number ?? 1;
      if (newest > 1) shortened += 1;
      const whole = builder.state;
      expect(fold(builder.records.slice(newest - 1))).toEqual(whole.opened === null ? emptyIf(builder, whole) : whole);
    });
    fc.assert(property, { numRuns: 1000 });
    expect(shortened).toBeGreaterThan(100);
  });
});

function emptyIf(builder: LogBuilder, whole: RunState): RunState {
  expect(whole).toEqual({ ...emptyState, last: builder.records.length });
  return whole;
}

test("a log of a hundred thousand records is folded at once, not checkpoint by checkpoint", () => {
  const built = log().open(1);
  for (let step = 1; step <= 50_000; step += 1) built.commit(1, step);
  for (let step = 1; step < 50_000; step += 1) built.delete(1, digestOf(step, 1));
  const { checkpoints, deleted } = fold(built.records);
  expect([checkpoints.length, deleted.length]).toEqual([1, 49_999]);
});
