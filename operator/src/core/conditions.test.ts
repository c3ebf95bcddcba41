import { expect, test } from "vitest";
import { Condition } from "../api/conditions.ts";
import { setCondition } from "./conditions.ts";

test.each([
  ["Unschedulable", "Unschedulable"],
  ["not enough resources", "notenoughresources"],
  ["3 nodes: full:", "nodes:full"],
  ["", "Unspecified"],
  ["-", "Unspecified"],
  ["Zu viele Pods: ü", "ZuvielePods"],
  ["x".repeat(2000), "x".repeat(256)],
])("a reason %j of somebody else's stands as %j, which the API server takes", (reason, word) => {
  const statement = { type: "Progressing", status: "False", reason, message: "said so" } as const;
  const [condition] = setCondition([], statement, { now: 0, generation: 1 });
  expect(condition?.reason).toBe(word);
  expect(Condition.safeParse(condition).success).toBe(true);
});

test("the transition time moves only with the status", () => {
  const said = (status: "True" | "False", reason: string) =>
    ({ type: "Progressing", status, reason, message: "" }) as const;
  const first = setCondition([], said("False", "Starting"), { now: 0, generation: 1 });
  const same = setCondition(first, said("False", "Restoring"), { now: 5_000, generation: 1 });
  const other = setCondition(same, said("True", "Training"), { now: 9_000, generation: 1 });
  expect([first, same, other].map(([one]) => one?.lastTransitionTime)).toEqual([
    "1970-01-01T00:00:00.000Z",
    "1970-01-01T00:00:00.000Z",
    "1970-01-01T00:00:09.000Z",
  ]);
});
