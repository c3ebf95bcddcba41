import { describe, expect, test } from "vitest";
import { digestOf, type LogBuilder } from "../test/log-builder.ts";
import { a1, now, plan, policy, runOf } from "../test/retention-plan.ts";
import { directoryName } from "./directory-name.ts";
import { carry } from "./log/fold.ts";
import { type RetentionInput, retain } from "./retention.ts";

type Row = {
  what: string;
  input: Partial<RetentionInput>;
  keep: Record<number, string>;
  remove: number[];
  shrunk?: string;
};

const left = (...steps: number[]) => Object.fromEntries(steps.map((step) => [step, "left-behind"]));
const a2 = (...steps: number[]) => steps.map((step) => digestOf(step, 2));
const within = (maxBytes: number, last = 2) => ({ policy: { ...policy, last, maxBytes } });

/** Back from 90 to 10, and what was saved and verified since; each checkpoint has 100 bytes. */
function rolledBack(...saved: number[]) {
  const builder = runOf([10, 60, 70, 80, 90]).open(2, digestOf(10, 1));
  for (const step of saved) builder.commit(2, step);
  return { state: builder.state, verified: a2(...saved) };
}

/** Opens an attempt on its copy of another run's checkpoint, as a fork does. */
function fork(builder: LogBuilder, attempt: number, step: number): LogBuilder {
  const [digest, directory, time] = [digestOf(step, attempt), directoryName(step, attempt), now];
  const checkpoint = { digest, step, attempt, directory, bytes: 100, metrics: [], unhealthy: false, time };
  const imported = { checkpoint, attempts: [] };
  const state = carry(builder.state, { imported, base: digest, chosen: true });
  const who = { attempt, podUid: `pod-${attempt}`, node: "n", generation: 1 };
  return builder.append({ version: 1, writer: "w", time, kind: "open", ...who, base: digest, state });
}

function check({ input, keep, remove, shrunk }: Row) {
  const planned = plan(input);
  expect({ keep: planned.keep, remove: planned.remove }).toEqual({ keep, remove });
  expect([planned.shrunk, planned.pauseSaving]).toEqual([shrunk ?? null, null]);
}

describe("what a rollback left behind", () => {
  const present = { 10: "base", 20: "verified last", 30: "verified last" };
  const waiting = { 10: "base newer-unproven", 20: "newer-unproven last", 30: "newer-unproven last" };
  const rows: Row[] = [
    {
      what: "stays while there is room",
      input: { ...rolledBack(20, 30), ...within(800) },
      keep: { ...present, ...left(60, 70, 80, 90) },
      remove: [],
    },
    {
      what: "goes where the byte budget has less, the nearest first, and the policy stays as it is",
      input: { ...rolledBack(20, 30), ...within(699) },
      keep: { ...present, ...left(80, 90) },
      remove: [60, 70],
    },
    {
      what: "goes as a whole where the next checkpoint needs as much",
      input: { ...rolledBack(20, 30), ...within(400) },
      keep: present,
      remove: [60, 70, 80, 90],
    },
    {
      what: "stays as far as there is room where the policy is too much without it",
      input: { ...rolledBack(11, 12, 13, 14, 15), ...within(699, 6) },
      keep: { 10: "base", 14: "verified", 15: "verified", ...left(80, 90) },
      remove: [60, 70, 11, 12, 13],
      shrunk: "500 bytes kept, 100 for the next checkpoint, 699 allowed",
    },
    {
      what: "goes where the volume lacks room, and no more than makes that",
      input: { ...rolledBack(20, 30), lacking: 101 },
      keep: { ...present, ...left(80, 90) },
      remove: [60, 70],
    },
    {
      what: "goes as a whole where the volume lacks more than that",
      input: { ...rolledBack(20, 30), lacking: 1000 },
      keep: present,
      remove: [60, 70, 80, 90],
    },
    {
      what: "goes before anything that waits for the object store, in the budget",
      input: { ...rolledBack(20, 30), ...within(500), mirrored: [] },
      keep: { ...waiting, ...left(90) },
      remove: [60, 70, 80],
    },
    {
      what: "goes before anything that waits for the object store, where the volume lacks room",
      input: { ...rolledBack(20, 30), lacking: 301, mirrored: [] },
      keep: waiting,
      remove: [60, 70, 80, 90],
    },
    {
      what: "goes where fewer than two of the present history are verified, the nearest first",
      input: { ...rolledBack(), ...within(400) },
      keep: { 10: "base verified last", ...left(80, 90) },
      remove: [60, 70],
    },
    {
      what: "goes first where the operator lets nobody resume from it",
      input: { ...rolledBack(20, 30), ...within(600), banned: a1(70, 90) },
      keep: { ...present, ...left(60, 80) },
      remove: [70, 90],
    },
    {
      what: "makes no room, and goes first, where it is not there",
      input: { ...rolledBack(20, 30), lacking: 101, absent: a1(80) },
      keep: { ...present, ...left(90) },
      remove: [60, 70, 80],
    },
    {
      what: "takes no room where it is not there",
      input: { ...rolledBack(20, 30), ...within(600), absent: a1(60, 70) },
      keep: { ...present, ...left(60, 70, 80, 90) },
      remove: [],
    },
  ];
  test.each(rows)("$what", check);

  test("is as much as an open can carry, which is the furthest", () => {
    const steps = Array.from({ length: 15_000 }, (_, index) => index + 1);
    const { state } = runOf(steps).open(2, digestOf(1, 1)).commit(2, 2);
    const { keep, remove, pauseSaving } = retain({ state, policy, verified: [digestOf(2, 2)], recorded: [], now });
    expect(remove.map(({ ref }) => ref.step)).toEqual(steps.slice(1, 1 + remove.length));
    expect(remove[0]?.why).toBe("a rollback left it behind, and there is no room for it");
    const bytes = Buffer.byteLength(JSON.stringify(carry({ ...state, checkpoints: keep.map(({ ref }) => ref) })));
    expect(bytes).toBeLessThan(3 * 1024 * 1024 + 100);
    expect(bytes).toBeGreaterThan(3 * 1024 * 1024 - 1000);
    expect(pauseSaving).toBeNull();
  });
});

describe("the way back from a rollback", () => {
  /** Attempt 1 has kept five, and two more before it was left for 10. */
  const crowded = () => runOf([6, 7, 8, 9, 10, 60, 70]).open(2, digestOf(10, 1));
  /** Attempt 2 has gone on from 10, and attempt 3 goes on from 90 again. */
  const forward = () =>
    runOf([10, 80, 90]).open(2, digestOf(10, 1)).commit(2, 20).commit(2, 30).open(3, digestOf(90, 1));
  const ahead = { 80: "verified last", 90: "base verified last" };
  /** Attempt 2 has gone on from 10 to 30, and attempt 3 has taken another run's step 5. */
  const forked = () => fork(runOf([10, 80, 90]).open(2, digestOf(10, 1)).commit(2, 20).commit(2, 30), 3, 5);
  const rows: Row[] = [
    {
      what: "is the furthest that is verified",
      input: { ...rolledBack(), verified: a1(60, 80), ...within(300) },
      keep: { 10: "base verified last", ...left(80) },
      remove: [60, 70, 90],
    },
    {
      what: "stays beside what is not verified yet",
      input: { ...rolledBack(20), verified: a1(80), ...within(400) },
      keep: { 10: "base verified last", 20: "newer-unproven last", ...left(80) },
      remove: [60, 70, 90],
    },
    {
      what: "goes as well where a save has no room otherwise",
      input: { ...rolledBack(), ...within(200) },
      keep: { 10: "base verified last" },
      remove: [60, 70, 80, 90],
    },
    {
      what: "stays where the rest makes the room that the volume lacks",
      input: { ...rolledBack(), verified: a1(80), lacking: 300 },
      keep: { 10: "base verified last", ...left(80) },
      remove: [60, 70, 90],
    },
    {
      what: "goes where the volume lacks more than the rest",
      input: { ...rolledBack(), verified: a1(80), lacking: 301 },
      keep: { 10: "base verified last" },
      remove: [60, 70, 80, 90],
    },
    {
      what: "has the policy shrink in the byte budget while nothing that was saved since is verified",
      input: { state: crowded().state, verified: a1(6, 7, 8, 9, 10, 60, 70), ...within(600, 5) },
      keep: { 7: "last", 8: "last", 9: "verified last", 10: "base verified last", ...left(70) },
      remove: [6, 60],
      shrunk: "500 bytes kept, 100 for the next checkpoint, 600 allowed",
    },
    {
      what: "costs nothing that the policy had not lost in the byte budget without it",
      input: { state: crowded().state, verified: a1(6, 7, 8, 9, 10, 60, 70), ...within(599, 5) },
      keep: { 9: "verified", 10: "base verified", ...left(60, 70) },
      remove: [6, 7, 8],
      shrunk: "400 bytes kept, 100 for the next checkpoint, 599 allowed",
    },
    {
      what: "is none that the operator lets nobody resume from, and none that is not there",
      input: { ...rolledBack(), verified: a1(70), ...within(300), banned: a1(90), absent: a1(70) },
      keep: { 10: "base verified last", ...left(80) },
      remove: [60, 70, 90],
    },
    {
      what: "gives way to the policy once something that was saved since is verified",
      input: {
        state: crowded().commit(2, 11).state,
        verified: [...a1(6, 7, 8, 9, 10, 60, 70), ...a2(11)],
        ...within(600, 5),
      },
      keep: { 7: "last", 8: "last", 9: "last", 10: "base verified last", 11: "verified last" },
      remove: [6, 60, 70],
    },
    {
      what: "never has the policy shrink for what the volume lacks",
      input: { state: crowded().state, verified: a1(6, 7, 8, 9, 10, 60, 70), ...within(700, 5), lacking: 200 },
      keep: { 6: "last", 7: "last", 8: "last", 9: "verified last", 10: "base verified last" },
      remove: [60, 70],
    },
    {
      what: "never goes while nothing of the present history is verified",
      input: {
        state: runOf([60, 70]).open(2).state,
        verified: a1(60),
        ...within(200),
        lacking: Number.POSITIVE_INFINITY,
      },
      keep: left(60),
      remove: [70],
    },
    {
      what: "leads to the branch that was left last, though the history is ahead of it",
      input: { state: forward().state, verified: [...a1(10, 80, 90), ...a2(20, 30)] },
      keep: { ...ahead, ...left(30) },
      remove: [10, 20],
    },
    {
      what: "from a fork is the furthest that is verified of the history that it took the place of",
      input: { state: forked().state, verified: [...a1(80, 90), ...a2(20)], ...within(300) },
      keep: { 5: "base verified last", ...left(20) },
      remove: [10, 80, 90, 30],
    },
    {
      what: "from a fork is the same where the attempt that forked has died at once",
      input: { state: forked().open(4, digestOf(5, 3)).state, verified: [...a1(80, 90), ...a2(20)], ...within(300) },
      keep: { 5: "base verified last", ...left(20) },
      remove: [10, 80, 90, 30],
    },
    {
      what: "leads to what was saved since a fork, where that was left as well",
      input: {
        state: forked().commit(3, 6).commit(3, 7).open(4, digestOf(5, 3)).state,
        verified: [...a1(80, 90), ...a2(20), digestOf(6, 3)],
        ...within(300),
      },
      keep: { 5: "base verified last", ...left(6) },
      remove: [10, 80, 90, 20, 30, 7],
    },
    {
      what: "from a fork ends with the first verified save since",
      input: {
        state: forked().commit(3, 6).state,
        verified: [...a1(80), ...a2(20), digestOf(6, 3)],
        ...within(400),
      },
      keep: { 5: "base verified last", 6: "verified last", ...left(90) },
      remove: [10, 80, 20, 30],
    },
    {
      what: "ends with the first verified save on that history",
      input: { state: forward().commit(3, 95).state, verified: [...a1(80, 90), ...a2(30), digestOf(95, 3)] },
      keep: { 90: "base verified last", 95: "verified last" },
      remove: [10, 80, 20, 30],
    },
  ];
  test.each(rows)("$what", check);
});
