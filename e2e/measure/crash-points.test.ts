import { describe, expect, test } from "vitest";
import type { ScriptCuts, Write } from "../crash-points/cut.ts";
import { operatorScripts } from "../crash-points/operator-scripts.ts";
import { podScripts } from "../crash-points/pod-scripts.ts";
import { realScripts } from "../crash-points/real-scripts.ts";
import { crashPointsResult } from "./crash-points.ts";
import { holds } from "./result.ts";

const write = (kind: string, isAnswered = true): Write => ({ words: `${kind} of run-0`, kind, isAnswered });
const cuts = (script: string, over: Partial<ScriptCuts> = {}): ScriptCuts => {
  const writes = [write("create pods"), write("patch trainingruns/status")];
  return { script, writes, plays: 6, same: 6, missed: [], ...over };
};
const operators = operatorScripts.map(({ name }) => cuts(name));
const pods = podScripts.map(({ name }) => {
  return cuts(name, { writes: [write("link log", false), write("Put log")], plays: 5, same: 5 });
});
const real = realScripts.map(({ name }) => cuts(name));
const seen = { operators, pods, real, seconds: 1 };

describe("the result of the crash points", () => {
  test("holds where every script came to the same end after every cut", () => {
    const result = crashPointsResult(seen);
    expect(holds(result)).toBe(true);
    expect(result.figures).toMatchObject({
      writes: 2 * (operators.length + pods.length + real.length),
      kills: 6 * (operators.length + real.length) + 5 * pods.length,
      operators: { writesByKind: { "create pods": operators.length, "patch trainingruns/status": operators.length } },
      pods: { writesByKind: { "link log": pods.length, "Put log": pods.length } },
    });
  });

  test.each([
    ["a cut came to another end", { operators: [...operators.slice(1), cuts("plain", { same: 5, missed: ["it"] })] }],
    ["a write was not cut in each way", { real: [...real.slice(1), cuts("plain", { plays: 5, same: 5 })] }],
    ["a script was left out", { pods: pods.slice(1) }],
    ["nothing was written", { pods: pods.map((each) => ({ ...each, writes: [], plays: 0, same: 0 })) }],
  ])("does not hold where %s", (_what, change) => {
    expect(holds(crashPointsResult({ ...seen, ...change }))).toBe(false);
  });
});
