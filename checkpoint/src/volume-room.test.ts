import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { digestOf, log } from "../test/log-builder.ts";
import { retain } from "./retention.ts";
import { foresee, type RoomInput } from "./volume-room.ts";

const policy = { last: 2, best: null, everySteps: null, maxBytes: null };
const now = "2026-01-01T00:00:00.000Z";
const size = 10_000_000;
const a1 = (...steps: number[]) => steps.map((step) => digestOf(step, 1));

function runOf(...steps: number[]) {
  const builder = log().open(1);
  for (const step of steps) builder.commit(1, step, { bytes: size });
  return builder.state;
}

/** Back from 90 to 10, with two saves since. */
function rolledBack() {
  const builder = log().open(1).commit(1, 10, { bytes: size }).commit(1, 90, { bytes: size }).open(2, digestOf(10, 1));
  return builder.commit(2, 20, { bytes: size }).commit(2, 30, { bytes: size }).state;
}

/** How many of the next three saves fit, where so many checkpoints' bytes are free. */
function saves(free: number, input: Partial<RoomInput> = {}) {
  return foresee({ state: runOf(10, 20), policy, recorded: [], now, horizon: 3, available: free * size, ...input })
    .saves;
}

describe("how many saves a volume has room for", () => {
  const cases: { what: string; free: number; input?: Partial<RoomInput>; fits: number }[] = [
    { what: "all, where retention frees one for each", free: 1.1, fits: 3 },
    { what: "none, where the next has no room beside those that must stay", free: 0.9, fits: 0 },
    { what: "none, where its bytes fit and nothing else does", free: 1, fits: 0 },
    {
      what: "all, where the next fits once those that wait for removal are gone",
      free: 0.2,
      input: { state: runOf(10, 20, 30) },
      fits: 3,
    },
    { what: "two, where the policy is still growing", free: 2.5, input: { policy: { ...policy, last: 6 } }, fits: 2 },
    {
      what: "two, where milestones stay for ever",
      free: 2.5,
      input: { policy: { ...policy, everySteps: 10 } },
      fits: 2,
    },
    {
      what: "all, where milestones are rarer than saves",
      free: 2.5,
      input: { policy: { ...policy, everySteps: 1000 } },
      fits: 3,
    },
    {
      what: "all, where the byte budget makes the policy give way in time",
      free: 1.5,
      input: { policy: { ...policy, last: 6, maxBytes: 3.5 * size } },
      fits: 3,
    },
    {
      what: "one, where the mirror is behind and nothing goes before it",
      free: 1.5,
      input: { state: runOf(10, 20, 30, 40), mirrored: a1(10) },
      fits: 1,
    },
    { what: "all, where nothing was saved yet and nothing is known", free: 0, input: { state: runOf() }, fits: 3 },
    {
      what: "none, where what would go waits for a proof that never comes",
      free: 0.2,
      input: { state: runOf(10, 20, 30), verified: a1(10, 20) },
      fits: 0,
    },
    {
      what: "none, where what goes is not there",
      free: 0.2,
      input: { state: runOf(10, 20, 30), absent: a1(10) },
      fits: 0,
    },
    {
      what: "none, where what is to prove that others may go is not there",
      free: 0.2,
      input: { state: runOf(10, 20, 30), absent: a1(30) },
      fits: 0,
    },
    { what: "none, where what a rollback left behind stays", free: 0.9, input: { state: rolledBack() }, fits: 0 },
    {
      what: "all, where what a rollback left behind goes for them",
      free: 0.9,
      input: { state: rolledBack(), leftBehind: "LetGo" },
      fits: 3,
    },
  ];
  test.each(cases)("$what", ({ free, input, fits }) => {
    expect(saves(free, input)).toBe(fits);
  });

  test("comes with the sizes that a person needs", () => {
    const state = runOf(10, 20, 30);
    expect(foresee({ state, policy, recorded: [], now, horizon: 3, available: 5 })).toEqual({
      saves: 0,
      next: size,
      available: 5,
      freed: size,
      lacking: 64 * 1024 + size / 50 - 5,
    });
  });

  test("is never fewer with more room, and what it promises is kept when it is played through", () => {
    const property = fc.property(
      fc.record({
        steps: fc.uniqueArray(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 6 }),
        last: fc.integer({ min: 2, max: 5 }),
        every: fc.option(fc.integer({ min: 1, max: 9 })),
        free: fc.double({ min: 0, max: 6, noNaN: true }),
        more: fc.double({ min: 0, max: 3, noNaN: true }),
      }),
      ({ steps, last, every, free, more }) => {
        const state = runOf(...steps.sort((a, b) => a - b));
        const input = { state, policy: { ...policy, last, everySteps: every } };
        const promised = saves(free, input);
        expect(saves(free + more, input)).toBeGreaterThanOrEqual(promised);
        expect(actualSaves(state, input.policy, { free: free * size, stride: strideOf(steps) })).toBeGreaterThanOrEqual(
          promised,
        );
      },
    );
    fc.assert(property, { numRuns: 300 });
  });
});

/** Plays three saves with a log, each verified at once: how many succeed before the volume is full. */
function actualSaves(
  state: ReturnType<typeof runOf>,
  rules: RoomInput["policy"],
  { free, stride }: { free: number; stride: number },
) {
  const builder = log().open(1);
  for (const { step } of state.checkpoints) builder.commit(1, step, { bytes: size });
  let left = free;
  const prune = () => {
    const verified = builder.state.checkpoints.map(({ digest }) => digest);
    const { remove } = retain({ state: builder.state, policy: rules, verified, recorded: [], now });
    if (remove.length > 0) builder.delete(1, ...remove.map(({ ref }) => ref.digest));
    left += remove.length * size;
  };
  prune();
  for (let saved = 0; saved < 3; saved += 1) {
    if (left < size) return saved;
    left -= size;
    builder.commit(1, Math.max(...builder.state.checkpoints.map(({ step }) => step)) + stride, { bytes: size });
    prune();
  }
  return 3;
}

function strideOf(steps: readonly number[]): number {
  const [newest = 1, before = 0] = steps.toSorted((a, b) => b - a);
  return Math.max(1, newest - before);
}
