import { expect, test } from "vitest";
import { ReplayRecorder } from "./replay-recorder.ts";

/*
 * One column is one step: what happens to saves before it is computed. `save` begins one at the step before, `commit`
 * and `fail` end the one that is going on.
 */
type Happening = "save" | "commit" | "fail";

test.each([
  ["no checkpoint yet: nothing", { base: null }, [[], [], []], []],
  ["after the base, so many steps", { base: 0 }, [[], [], [], []], ["0:1", "0:2"]],
  ["after a save that was committed at once", { base: null }, [[], ["save", "commit"], [], []], ["1:2", "1:3"]],
  ["after a save that took two steps", { base: null }, [[], ["save"], [], ["commit"], []], ["1:2", "1:3"]],
  ["a save that is never committed: nothing", { base: null }, [[], ["save"], [], []], []],
  ["a save that failed: what follows on the one before", { base: 0 }, [[], ["save"], ["fail"], []], ["0:1", "0:2"]],
  [
    "a save that failed far behind the one before: nothing of what followed on it",
    { base: 0 },
    [[], [], [], ["save"], [], ["fail"], []],
    ["0:1", "0:2"],
  ],
  [
    "the next save cuts the record of the one before short",
    { base: 0 },
    [[], ["save", "commit"], ["save", "commit"], []],
    ["0:1", "1:2", "2:3", "2:4"],
  ],
  [
    "a save that begins as the one before ends",
    { base: null },
    [[], ["save"], ["commit", "save"], [], ["commit"]],
    ["1:2", "2:3", "2:4"],
  ],
] satisfies [string, { base: number | null }, Happening[][], string[]][])("%s", (_, { base }, happenings, expected) => {
  const passed: string[] = [];
  let after = -1;
  const sink = {
    begin: ({ step }: { step: number }) => {
      after = step;
    },
    add: ({ step }: { step: number }) => passed.push(`${after}:${step}`),
  };
  const digest = (step: number) => `sha256:${String(step).repeat(64)}`;
  const followed = base === null ? null : { step: base, digest: digest(base) };
  const recorder = new ReplayRecorder({ steps: 2, attempt: 1, sink }, followed);
  let saving: number | null = null;
  happenings.forEach((happened, index) => {
    for (const each of happened) {
      if (each === "commit" && saving !== null) recorder.committed({ step: saving, digest: digest(saving) });
      saving = each === "save" ? index : null;
    }
    const step = index + 1;
    if (recorder.wants(step, saving)) recorder.take({ step, loss: "0".repeat(16), weights: digest(9) });
    recorder.settle(saving);
  });
  expect(passed).toEqual(expected);
});
