import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { digestOf, LogBuilder } from "../../../checkpoint/test/log-builder.ts";
import { LogTruth } from "./truth.ts";

type Act = Readonly<{
  kind: "open" | "commit" | "refuse" | "delete" | "done";
  step: number;
  /** Whose it is, where it is not of whom the log would take it from; null where it is. */
  stray: number | null;
}>;

const act: fc.Arbitrary<Act> = fc.record({
  kind: fc.constantFrom("open", "commit", "commit", "commit", "commit", "refuse", "delete", "done"),
  step: fc.integer({ min: 1, max: 9 }),
  stray: fc.option(fc.integer({ min: 1, max: 4 }), { freq: 3 }),
});

/** Appends what an act says, whether or not it counts. */
function append(log: LogBuilder, { kind, step, stray }: Act): void {
  const { opened, checkpoints } = log.state;
  const attempt = stray ?? (opened?.attempt ?? 0) + (kind === "open" ? step % 2 : 0);
  const digest = checkpoints[step % Math.max(1, checkpoints.length)]?.digest ?? digestOf(step, attempt);
  if (kind === "open")
    log.open(attempt, checkpoints.length === 0 ? null : digest, `pod-${attempt + (step % 3 === 0 ? 1 : 0)}`);
  if (kind === "commit") log.commit(attempt, step + (stray === null ? log.records.length : 0));
  if (kind === "refuse") log.refuse(attempt, digest);
  if (kind === "delete") log.delete(attempt, digest);
  if (kind === "done") log.done(attempt, digest);
}

function truthOf(log: LogBuilder): LogTruth {
  const truth = new LogTruth();
  for (const entry of log.records) if ("record" in entry) truth.take({ ...entry, atMs: entry.number });
  return truth;
}

describe("the judge's own reading of a log", () => {
  test("is the product's, for any records in any order", () => {
    let counted = 0;
    fc.assert(
      fc.property(fc.array(act, { maxLength: 30, size: "max" }), (acts) => {
        const log = new LogBuilder().open(1);
        for (const each of acts) append(log, each);
        const { state } = log;
        const truth = truthOf(log);
        counted += truth.everCounted.size;
        expect({
          last: truth.last,
          opened: truth.opened?.attempt,
          base: truth.opened?.base,
          done: truth.done,
          checkpoints: [...truth.checkpoints.keys()].sort(),
          refused: [...truth.refused.keys()].sort(),
        }).toEqual({
          last: state.last,
          opened: state.opened?.attempt,
          base: state.opened?.base,
          done: state.done?.manifest ?? null,
          checkpoints: state.checkpoints.map(({ digest }) => digest).sort(),
          refused: state.refused.map(({ digest }) => digest).sort(),
        });
      }),
      { numRuns: 500 },
    );
    expect(counted).toBeGreaterThan(1_000);
  });

  test("forgets what a loss of power took, and takes what is written in its place", () => {
    const log = new LogBuilder().open(1).commit(1, 3).commit(1, 6);
    const truth = truthOf(log);
    truth.lose([3], "Cut");
    expect([...truth.checkpoints.keys()]).toEqual([digestOf(3, 1)]);
    expect(truth.everCounted.has(digestOf(6, 1))).toBe(false);
    const [, , third] = new LogBuilder().open(1).commit(1, 3).commit(1, 9).records;
    if (third !== undefined && "record" in third) truth.take({ ...third, atMs: 9 });
    expect(truth.lineage().map(({ step }) => step)).toEqual([9, 3]);
  });

  test("keeps what was pruned, and lets nothing count that is created below", () => {
    const truth = truthOf(new LogBuilder().open(1).commit(1, 3).open(2, digestOf(3, 1)));
    truth.lose([1, 2], "Pruned");
    const [, late] = new LogBuilder().open(1).commit(1, 4).records;
    if (late !== undefined && "record" in late) truth.take({ ...late, atMs: 9 });
    expect(truth.outcome.void).toBe("it lies below what readers look at");
    expect([...truth.checkpoints.keys()]).toEqual([digestOf(3, 1)]);
  });

  test("tells what an open passes over", () => {
    const truth = truthOf(new LogBuilder().open(1).commit(1, 3).commit(1, 6).open(2, digestOf(3, 1)));
    expect(truth.outcome.passedOver.map(({ step }) => step)).toEqual([6]);
  });

  test("is in doubt after damage, until an open tells what counts", () => {
    const log = new LogBuilder().open(1).commit(1, 3);
    const truth = truthOf(log);
    truth.lose([2], "Damaged");
    expect(truth.isDoubtful).toBe(true);
    const opened = new LogBuilder().open(1).commit(1, 4).open(2, digestOf(4, 1)).records.at(-1);
    if (opened !== undefined && "record" in opened) truth.take({ ...opened, atMs: 9 });
    expect([truth.isDoubtful, [...truth.checkpoints.keys()]]).toEqual([false, [digestOf(4, 1)]]);
  });
});
