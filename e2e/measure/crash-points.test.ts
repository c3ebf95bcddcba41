import { describe, expect, test } from "vitest";
import type { ScriptCuts } from "../crash-points/cut.ts";
import { realScripts } from "../crash-points/real-scripts.ts";
import { scripts } from "../crash-points/scripts.ts";
import { crashPointsResult } from "./crash-points.ts";
import { holds } from "./result.ts";

const writes = ["create pods team-a/run-0-1-0 (spec)", "patch trainingruns/status team-a/run-0 (state)"];
const cuts = (script: string, over: Partial<ScriptCuts> = {}): ScriptCuts => {
  return { script, writes, plays: 6, same: 6, missed: [], ...over };
};
const simulated = scripts.map(({ name }) => cuts(name));
const real = realScripts.map(({ name }) => cuts(name, { writes: ["POST pods", "PATCH trainingruns/mnist/status"] }));

describe("the result of the crash points", () => {
  test("holds where every script came to the same end after every cut", () => {
    const result = crashPointsResult({ simulated, real, seconds: 1 });
    expect(holds(result)).toBe(true);
    expect(result.figures).toMatchObject({
      writes: 2 * (scripts.length + realScripts.length),
      kills: 6 * (scripts.length + realScripts.length),
      simulated: { writesByKind: { "create pods": scripts.length, "patch trainingruns/status": scripts.length } },
      real: { writesByKind: { "POST pods": realScripts.length, "PATCH trainingruns/status": realScripts.length } },
    });
  });

  test.each([
    ["a cut came to another end", { simulated: [...simulated.slice(1), cuts("plain", { same: 5, missed: ["it"] })] }],
    ["a write was not cut in each way", { real: [...real.slice(1), cuts("plain", { plays: 5, same: 5 })] }],
    ["a script was left out", { real: real.slice(1) }],
    ["nothing was written", { simulated: simulated.map((each) => ({ ...each, writes: [], plays: 0, same: 0 })) }],
  ])("does not hold where %s", (_what, change) => {
    expect(holds(crashPointsResult({ simulated, real, seconds: 1, ...change }))).toBe(false);
  });
});
