import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { digestOf, type LogBuilder } from "../test/log-builder.ts";
import { policy, runOf } from "../test/retention-plan.ts";
import { lineage } from "./candidates.ts";
import type { Digest } from "./contract/digest.ts";
import { isRefused } from "./log/fold.ts";
import type { CheckpointRef } from "./log/state.ts";
import { type RetentionInput, type RetentionPlan, retain } from "./retention.ts";

/** Of every checkpoint here. */
const size = 100;
const dayLater = (days: number) => `2026-01-0${1 + days}T00:00:00.000Z`;
const ascending = (steps: readonly number[]) => steps.toSorted((a, b) => a - b);
const digestsOf = (refs: readonly CheckpointRef[]) => refs.map(({ digest }) => digest);

const steps = (minLength: number) => fc.uniqueArray(fc.integer({ min: 1, max: 60 }), { minLength, maxLength: 12 });

/** A run that went on from one of its first checkpoints, the newest or an older one: from there it has saved `second`. */
const history = fc.record({
  first: steps(1),
  // Often nothing yet.
  second: fc.oneof(fc.constant([]), steps(0)),
  base: fc.nat(11),
  unhealthy: fc.array(fc.nat(60), { maxLength: 8 }),
  refused: fc.array(fc.nat(20), { maxLength: 3 }),
});
type History = typeof history extends fc.Arbitrary<infer Drawn> ? Drawn : never;

const rules = fc.record({
  last: fc.integer({ min: 2, max: 4 }),
  everySteps: fc.option(fc.integer({ min: 1, max: 20 })),
  best: fc.option(fc.constantFrom({ metric: "loss", mode: "Max", count: 1 } as const)),
});

/** Which of all checkpoints, by their numbers. */
const some = (maxLength: number) => fc.oneof(fc.constant<number[]>([]), fc.array(fc.nat(20), { maxLength }));

function runThat({ first, second, base, unhealthy, refused }: History): LogBuilder {
  const builder = runOf([]);
  const save = (attempt: number, step: number) =>
    builder.commit(attempt, step, { unhealthy: unhealthy.includes(step), bytes: size });
  for (const step of ascending(first)) save(1, step);
  const from = builder.state.checkpoints[base % first.length];
  builder.open(2, from?.digest ?? null);
  for (const step of ascending(second)) save(2, (from?.step ?? 0) + step);
  for (const index of refused)
    builder.refuse(2, builder.state.checkpoints.at(index % (first.length + second.length))?.digest ?? "");
  return builder;
}

/** The present history without what is refused, and of it what is proven. */
function presentOf({ state, verified, mirrored }: RetentionInput) {
  const present = lineage(state).filter(({ digest }) => !isRefused(state, digest));
  const known = new Set<Digest | null | undefined>([...verified, state.opened?.base]);
  const proven = present.filter(({ digest }) => known.has(digest) && (mirrored?.includes(digest) ?? true));
  return { present, proven };
}

/** What of a plan was left behind by a rollback, and what two proven ones are not ahead of. */
function leftOf(input: RetentionInput, refs: readonly Readonly<{ ref: CheckpointRef }>[]) {
  const { state } = input;
  const inLineage = new Set(lineage(state));
  const passed = presentOf(input).proven[1]?.step ?? 0;
  const left = refs.map(({ ref }) => ref).filter((ref) => !inLineage.has(ref) && !isRefused(state, ref.digest));
  return { all: left, ahead: left.filter(({ step }) => step >= passed) };
}

describe("in whatever state a run is, retention", () => {
  const drawn = fc.record({
    history,
    rules,
    verified: fc.array(fc.nat(20), { maxLength: 12 }),
    mirrored: fc.option(fc.array(fc.nat(20), { maxLength: 20 })),
    maxBytes: fc.option(fc.integer({ min: 1, max: 2000 })),
    lacking: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 1500 })),
    days: fc.integer({ min: 0, max: 2 }),
    absent: some(4),
    banned: some(4),
  });

  function inputOf(draw: typeof drawn extends fc.Arbitrary<infer Drawn> ? Drawn : never): RetentionInput {
    const { state } = runThat(draw.history);
    const at = (index: number) => state.checkpoints[index % state.checkpoints.length]?.digest ?? "";
    return {
      state,
      policy: { ...draw.rules, maxBytes: draw.maxBytes },
      verified: draw.verified.map(at),
      mirrored: draw.mirrored?.map(at) ?? null,
      recorded: [],
      lacking: draw.lacking,
      absent: draw.absent.map(at),
      banned: draw.banned.map(at),
      now: dayLater(draw.days),
    };
  }

  const bytesOf = ({ absent = [] }: RetentionInput, digests: readonly Digest[]) =>
    size * digests.filter((digest) => !absent.includes(digest)).length;

  test("removes nothing of the present history but what two proven ones cover, never its base, and evidence after a day (I6)", () => {
    let removals = 0;
    const property = fc.property(drawn, (draw) => {
      const input = inputOf(draw);
      const { state } = input;
      const { present, proven } = presentOf(input);
      for (const { ref } of retain(input).remove) {
        removals += 1;
        expect(ref.digest).not.toBe(state.opened?.base);
        if (isRefused(state, ref.digest)) expect(draw.days).toBeGreaterThan(0);
        if (present.includes(ref)) {
          expect(proven.filter(({ step }) => step > ref.step).length).toBeGreaterThanOrEqual(2);
        }
      }
    });
    fc.assert(property, { numRuns: 2000 });
    expect(removals).toBeGreaterThan(500);
  });

  test("keeps what a rollback left behind as far as there is room, and the furthest of it", () => {
    let removals = 0;
    const property = fc.property(drawn, (draw) => {
      const input = inputOf(draw);
      const { keep, remove, keptBytes } = retain(input);
      const nowhere = [...(input.absent ?? []), ...(input.banned ?? [])];
      const gone = leftOf(input, remove).ahead.filter(({ digest }) => !nowhere.includes(digest));
      if (gone.length === 0) return;
      removals += 1;
      const total = bytesOf(input, digestsOf(input.state.checkpoints));
      const isFull = keptBytes + size > total - draw.lacking;
      expect(isFull || keptBytes + 2 * size > (draw.maxBytes ?? Number.POSITIVE_INFINITY)).toBe(true);
      const furthestGone = Math.max(...gone.map(({ step }) => step));
      // The way back may be nearer: it is the furthest that is verified.
      expect(leftOf(input, keep).all.filter(({ step }) => step < furthestGone).length).toBeLessThanOrEqual(1);
    });
    fc.assert(property, { numRuns: 2000 });
    expect(removals).toBeGreaterThan(100);
  });

  /** What stays of the present history, and what would if nothing had been left behind; null where nothing was. */
  function besideLeft(input: RetentionInput) {
    const { state } = input;
    const { all } = leftOf(
      input,
      state.checkpoints.map((ref) => ({ ref })),
    );
    if (all.length === 0) return null;
    const alone = { ...state, checkpoints: state.checkpoints.filter((ref) => !all.includes(ref)) };
    const presentIn = (plan: RetentionPlan) =>
      digestsOf(plan.keep.map(({ ref }) => ref)).filter((digest) =>
        alone.checkpoints.some((ref) => ref.digest === digest),
      );
    return { kept: presentIn(retain(input)), alone: presentIn(retain({ ...input, state: alone })) };
  }

  const isSince = (input: RetentionInput) =>
    presentOf({ ...input, mirrored: null }).proven.some(({ attempt }) => attempt === 2);

  test("removes the same of the present history as if nothing had been left behind, once something since is verified", () => {
    let comparisons = 0;
    const property = fc.property(drawn, (draw) => {
      const input = inputOf(draw);
      const found = isSince(input) ? besideLeft(input) : null;
      if (found === null) return;
      comparisons += 1;
      expect(found.kept).toEqual(found.alone);
    });
    fc.assert(property, { numRuns: 2000 });
    expect(comparisons).toBeGreaterThan(100);
  });

  test("lets no more of the present history go for the way back than that takes", () => {
    let costs = 0;
    const wide = fc.record({ draw: drawn, last: fc.integer({ min: 2, max: 12 }), over: fc.nat(3 * size) });
    const property = fc.property(wide, ({ draw, last, over }) => {
      // All that is there and verified, in a budget that has about as much room.
      const history = { ...draw.history, second: [] };
      const input = inputOf({ ...draw, history, rules: { ...draw.rules, last }, mirrored: null, lacking: 0 });
      const { present } = presentOf(input);
      const maxBytes = Math.max(1, bytesOf(input, digestsOf(present)) + over);
      const found = besideLeft({ ...input, policy: { ...input.policy, maxBytes }, verified: digestsOf(present) });
      if (found === null) return;
      const lost = found.alone.filter((digest) => !found.kept.includes(digest));
      expect(bytesOf(input, lost)).toBeLessThanOrEqual(size);
      if (lost.length > 0) costs += 1;
    });
    fc.assert(property, { numRuns: 2000 });
    expect(costs).toBeGreaterThan(10);
  });

  test("pauses for the budget only where what is there has too little room, and takes nothing for the way back that leads nowhere", () => {
    const count = { paused: 0, alone: 0 };
    const property = fc.property(drawn, (draw) => {
      const input = inputOf(draw);
      const { keep, keptBytes, pauseSaving } = retain(input);
      const kept = digestsOf(keep.map(({ ref }) => ref));
      expect(keptBytes).toBe(bytesOf(input, kept));
      expect(pauseSaving !== null).toBe(keptBytes + size > (draw.maxBytes ?? Number.POSITIVE_INFINITY));
      if (pauseSaving !== null) count.paused += 1;
      const nowhere = [...(input.absent ?? []), ...(input.banned ?? [])];
      const all = leftOf(
        input,
        input.state.checkpoints.map((ref) => ({ ref })),
      ).ahead;
      const stays = leftOf(input, keep).all;
      if (all.every(({ digest }) => nowhere.includes(digest)) || stays.length === 0) return;
      count.alone += 1;
      expect(stays.some(({ digest }) => !nowhere.includes(digest))).toBe(true);
    });
    fc.assert(property, { numRuns: 2000 });
    expect(count.paused).toBeGreaterThan(50);
    expect(count.alone).toBeGreaterThan(50);
  });

  test("lets the saving go on, once all is verified or refused: it pauses only where two proven ones have too little room", () => {
    const floor = ["base", "verified", "healthy", "best:loss"];
    const count = { paused: 0, young: 0 };
    const budgets = fc.integer({ min: 2 * size, max: 12 * size });
    const property = fc.property(history, rules, budgets, (past, ruled, maxBytes) => {
      const { state } = runThat(past);
      const verified = digestsOf(state.checkpoints);
      const input = { state, policy: { ...ruled, maxBytes }, verified, recorded: [], now: dayLater(1) };
      const { keep, pauseSaving } = retain(input);
      const { proven } = presentOf(input);
      if (proven.length < 2) count.young += 1;
      if (pauseSaving === null) return;
      count.paused += 1;
      if (proven.length < 2) {
        // A base that was refused since stays beside the only verified one: then three have to fit.
        expect([isRefused(state, state.opened?.base ?? ""), keep.length, maxBytes < 3 * size]).toEqual([true, 2, true]);
        return;
      }
      // Nothing that waits for a proof, nothing that was refused, nothing that was left behind.
      for (const { reasons } of keep) expect(reasons.some((reason) => floor.includes(reason))).toBe(true);
      expect(maxBytes).toBeLessThan((keep.length + 1) * size);
      expect(keep.length).toBeLessThanOrEqual(6);
    });
    fc.assert(property, { numRuns: 2000 });
    expect(count.young).toBeGreaterThan(50);
    expect(count.paused).toBeGreaterThan(50);
  });

  test("keeps the saving within a budget of five checkpoints, whatever was left behind or refused", () => {
    const property = fc.property(history, fc.integer({ min: 5 * size, max: 9 * size }), (past, maxBytes) => {
      const builder = runThat({ ...past, unhealthy: [] });
      for (let saved = 0; saved < 4; saved += 1) {
        const { state } = builder;
        const verified = digestsOf(state.checkpoints);
        const input = { state, policy: { ...policy, last: 50, maxBytes }, verified, recorded: [], now: dayLater(1) };
        const { remove, keptBytes, pauseSaving } = retain(input);
        expect(pauseSaving).toBeNull();
        expect(keptBytes + size).toBeLessThanOrEqual(maxBytes);
        if (remove.length > 0) builder.delete(2, ...remove.map(({ ref }) => ref.digest));
        builder.commit(2, 1000 + saved, { bytes: size });
        expect(builder.state.checkpoints.at(-1)?.digest).toBe(digestOf(1000 + saved, 2));
      }
    });
    fc.assert(property, { numRuns: 300 });
  });
});
