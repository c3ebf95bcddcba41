import { describe, expect, test } from "vitest";
import { Trace } from "./trace.ts";

type Note = [atMs: number, who: string, what: string];

function hashOf(...notes: Note[]): string {
  const trace = new Trace();
  for (const note of notes) trace.note(...note);
  return trace.hash;
}

describe("the hash of a trace", () => {
  const first: Note = [1, "a", "reads"];
  const second: Note = [2, "b", "writes"];

  test("is equal for equal notes", () => expect(hashOf(first, second)).toBe(hashOf(first, second)));

  const others: [what: string, notes: Note[]][] = [
    ["instant", [first, [2.001, "b", "writes"]]],
    ["process", [first, [2, "c", "writes"]]],
    ["deed", [first, [2, "b", "write"]]],
    ["order", [second, first]],
    ["count", [first, second, second]],
  ];
  test.each(others)("is another for another %s", (_, notes) =>
    expect(hashOf(...notes)).not.toBe(hashOf(first, second)),
  );
});

describe("the lines of a trace", () => {
  test("are the last ones where they are kept, and none where not", () => {
    const [kept, not] = [new Trace({ keep: 2 }), new Trace()];
    for (const trace of [kept, not])
      for (let ordinal = 0; ordinal < 9; ordinal += 1) trace.note(ordinal, "a", `note ${ordinal}`);
    expect(kept.lines).toEqual(["         7.000 a: note 7", "         8.000 a: note 8"]);
    expect(not.lines).toEqual([]);
  });
});
