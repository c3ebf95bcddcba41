import { expect, test } from "vitest";
import { nothingTried, together, triedBy, untried } from "./coverage.ts";
import { Story } from "./test/story.ts";

const fault = { id: "f1", fault: "PodEvicted", phases: ["Saving", "Pending", "Saving"] } as const;

function play(facts: readonly ("FaultBegan" | "FaultMet")[], evaluations: Readonly<Record<string, number>>) {
  const story = new Story();
  for (const kind of facts) story.note({ ...fault, kind });
  return triedBy(story.events, { violations: [], evaluations });
}

test("a play counts what it tried: checks, faults that met something, and the states that they met", () => {
  expect(play(["FaultBegan", "FaultMet"], { S1: 3 })).toEqual({
    plays: 1,
    violations: 0,
    evaluations: { S1: 3 },
    faults: { PodEvicted: { began: 1, met: 1 } },
    cells: { "PodEvicted x Saving": 1, "PodEvicted x Pending": 1 },
  });
});

test("what many plays have tried is the sum of what each has", () => {
  const both = together(
    together(nothingTried, play(["FaultBegan", "FaultMet"], { S1: 3, S2: 0 })),
    play(["FaultBegan"], { S1: 1 }),
  );
  expect(both).toEqual({
    plays: 2,
    violations: 0,
    evaluations: { S1: 4, S2: 0 },
    faults: { PodEvicted: { began: 2, met: 1 } },
    cells: { "PodEvicted x Saving": 2, "PodEvicted x Pending": 2 },
  });
});

test("a check that had nothing to look at and a fault that met nothing are told by name", () => {
  const tried = play(["FaultBegan"], { S1: 3, S2: 0 });
  const wanted = { checks: ["S1", "S2", "S3"], faults: ["PodEvicted", "NodeFrozen"] };
  expect(untried(tried, wanted)).toEqual(["check S2", "check S3", "fault PodEvicted", "fault NodeFrozen"]);
  expect(untried(play(["FaultBegan", "FaultMet"], { S1: 1 }), { checks: ["S1"], faults: ["PodEvicted"] })).toEqual([]);
});
