import { describe, expect, test } from "vitest";
import { type Cut, cutsOf, differenceOf, hows, type ScriptPlay, strayingOf } from "./cut.ts";
import { cutInSimulation } from "./sim.ts";

describe("an operator that is cut off at a write, with the real agents and checkpoints", { timeout: 300_000 }, () => {
  test("comes to the same end in a run that is preempted, crashes and backs off", async () => {
    // Each write in one of the ways; all ways of all writes of all scripts are a measure of their own.
    const chosen = ({ ordinal, how }: Cut) => how === hows[ordinal % hows.length];
    const { writes, plays, missed } = await cutInSimulation("setbacks", { workers: 2, chosen });
    expect(missed).toEqual([]);
    expect(plays).toBe(writes.length);
    expect(plays).toBeGreaterThan(30);
  });
});

describe("a cut play", () => {
  const undisturbed: ScriptPlay = {
    writes: ["create pods team-a/run-0-1-0", "patch trainingruns/status team-a/run-0"],
    wasCut: false,
    end: { state: "Complete", totals: { attempts: 1 } },
    broken: [],
  };
  const cut = { ordinal: 2, how: "Lost" } as const;
  const play: ScriptPlay = { ...undisturbed, wasCut: true, writes: [...undisturbed.writes, "and once more"] };

  test("is the same where it came to the same end, whatever more it has written", () => {
    expect(differenceOf(undisturbed, cut, play)).toBeNull();
  });

  test.each([
    ["it never came to its write", { wasCut: false }, "never came to write 2"],
    ["a promise was broken", { broken: ["S8 at 5 ms: two pods"] }, "two pods"],
    ["it ended otherwise", { end: { state: "Failed", totals: { attempts: 1 } } }, 'state is "Failed"'],
    ["it counted otherwise", { end: { state: "Complete", totals: { attempts: 2 } } }, 'totals is {"attempts":2}'],
    ["it left something out", { end: { state: "Complete" } }, "totals is absent"],
  ])("is another where %s", (_what, change, why) => {
    expect(differenceOf(undisturbed, cut, { ...play, ...change })).toContain(why);
  });

  test("has strayed where a write before its cut was another", () => {
    expect(strayingOf(undisturbed, cut, play)).toBeNull();
    const writes = ["delete pods", ...undisturbed.writes.slice(1)];
    expect(strayingOf(undisturbed, cut, { ...play, writes })).toContain("write 1 was delete pods, undisturbed create");
  });

  test("is made three times for each write", () => {
    expect(cutsOf(2)).toHaveLength(6);
    expect(cutsOf(2)).toContainEqual({ ordinal: 2, how: "Before" });
    expect(cutsOf(0)).toEqual([]);
  });
});
