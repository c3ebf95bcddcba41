import { expect, test } from "vitest";
import { PlaceError } from "./place.ts";
import { readResumePolicy } from "./resume-policy.ts";

const defaults = { environmentMismatch: "Warn", partial: [], replaySteps: 0 };

test.each([
  ["a pod of an operator that knows none of it", "pod", undefined, defaults],
  ["a pod that is told some of it", "pod", '{"replaySteps": 5}', { ...defaults, replaySteps: 5 }],
  [
    "a pod that is told all of it",
    "pod",
    '{"environmentMismatch": "Block", "partial": ["head/*"], "replaySteps": 3}',
    { environmentMismatch: "Block", partial: ["head/*"], replaySteps: 3 },
  ],
  ["a script at hand, which no variable binds", "local", '{"replaySteps": 5}', { ...defaults, replaySteps: 2 }],
] as const)("%s", (_, kind, variable, expected) => {
  const environment = variable === undefined ? {} : { TRAININGRUN_RESUME_POLICY: variable };
  expect(readResumePolicy({ kind }, environment, kind === "local" ? { replaySteps: 2 } : {})).toEqual(expected);
});

test.each(["", "Block", "[]", '{"environmentMismatch": "Maybe"}', '{"replaySteps": -1}'])(
  "%j is no policy, and training does not begin on a guess",
  (variable) => {
    expect(() => readResumePolicy({ kind: "pod" }, { TRAININGRUN_RESUME_POLICY: variable })).toThrow(PlaceError);
  },
);
