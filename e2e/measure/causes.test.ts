import { describe, expect, test } from "vitest";
import { blocked, type ClusterRow, ended, onCluster, type TestRow } from "../causes/row.ts";
import { isSaid, type Walked } from "../causes/walk.ts";
import { causesResult } from "./causes.ts";
import { holds } from "./result.ts";

const evicted = ended("Drained", "Disruption", ["EvictionByEvictionAPI"], 143);
const pulled = blocked(["ErrImagePull", "ImagePullBackOff"], /localhost/);
const drained = { cause: "Drained", charge: "Disruption", reason: "EvictionByEvictionAPI", exitCode: 143, message: "" };

describe("a run says what its row has it say", () => {
  test.each([
    ["the same", evicted, drained, true],
    ["another cause", evicted, { ...drained, cause: "Deleted" }, false],
    ["another charge", evicted, { ...drained, charge: "Failure" }, false],
    ["another reason", evicted, { ...drained, reason: "PodDeleted" }, false],
    ["another exit code", evicted, { ...drained, exitCode: 1 }, false],
    ["one of two reasons", pulled, { cause: "Blocked", charge: "Nothing", reason: "ErrImagePull", message: "" }, true],
    ["a block that cost something", pulled, { ...drained, cause: "Blocked", reason: "ErrImagePull" }, false],
  ] as const)("%s", (_what, says, said, expected) => {
    expect(isSaid(says, said)).toBe(expected);
  });
});

describe("the causes measure", () => {
  const row: ClusterRow = onCluster("the Eviction API", evicted, {});
  const shape: TestRow = {
    where: "RecordedShape",
    way: "a node that shuts down",
    says: ended("NodeShutdown", "Disruption", ["TerminationByKubelet"]),
    file: "a.test.ts",
    title: "a node",
    why: "It needs logind.",
  };
  const walked: Walked = { row, said: drained, met: true, seconds: 1.23456 };
  const wrong: Walked = { ...walked, met: false, said: { ...drained, cause: "Crashed", message: "it was not so" } };

  test("holds where every way ended as its row says, and lists each", () => {
    const result = causesResult("containers", [walked], [shape]);
    expect(holds(result)).toBe(true);
    expect(result.figures).toMatchObject({
      ways: 2,
      produced: 1,
      causes: 2,
      rows: [
        { way: "the Eviction API", cause: "Drained", charge: "Disruption", met: true, seconds: 1.235 },
        { way: "a node that shuts down", cause: "NodeShutdown", shownBy: "RecordedShape a.test.ts" },
      ],
    });
  });

  test("does not hold where one did not, and says what it said instead", () => {
    const result = causesResult("containers", [walked, wrong], []);
    expect(holds(result)).toBe(false);
    expect(result.figures.rows).toMatchObject([{}, { cause: "Crashed", wanted: evicted, message: "it was not so" }]);
  });

  test("does not hold where nothing was walked", () => {
    expect(holds(causesResult("containers", [], [shape]))).toBe(false);
  });
});
