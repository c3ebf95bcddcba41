import { describe, expect, test } from "vitest";
import { type Cut, cutsOf, describeCut, differenceOf, hows, type ScriptPlay, strayingOf, type Write } from "./cut.ts";
import { cutInSimulation } from "./sim.ts";
import { Tally } from "./sim-tally.ts";

/** Each of so many writes in one of the ways; all ways of all writes of all scripts are a measure of their own. */
const oneIn =
  (share: number) =>
  ({ ordinal, how }: Cut): boolean =>
    ordinal % share === 0 && how === hows[(ordinal / share) % hows.length];

const patience = { timeout: 300_000 };

describe("an operator that is cut off at a write, with the real agents and checkpoints", patience, () => {
  test("comes to the same end in a run that is preempted, crashes and backs off", async () => {
    const { writes, plays, missed } = await cutInSimulation("setbacks", { workers: 2, chosen: oneIn(1) });
    expect(missed).toEqual([]);
    expect(plays).toBe(writes.length);
    expect(plays).toBeGreaterThan(30);
  });

  test("comes to the same end where its pods are refused for a while", async () => {
    const { writes, plays, missed } = await cutInSimulation("refused", { workers: 2, chosen: oneIn(4) });
    expect(missed).toEqual([]);
    expect(plays).toBeGreaterThan(5);
    const refused = writes.filter(({ words }) => words.startsWith("create pods team-a/run-0-2-0"));
    expect(refused.length).toBeGreaterThan(1);
  });

  test("comes to the same end where another one takes the lead, writes of the Lease included", async () => {
    const { writes, plays, missed } = await cutInSimulation("leader-change", { workers: 1, chosen: oneIn(7) });
    expect(missed).toEqual([]);
    expect(plays).toBeGreaterThan(8);
    const kinds = new Set(writes.map(({ kind }) => kind));
    expect([...kinds]).toEqual(expect.arrayContaining(["create leases", "patch leases", "create pods"]));
  });
});

describe("a trainer or an agent that is cut off at a write", patience, () => {
  test("costs an attempt at most, and nothing of what is verified in both tiers", async () => {
    const { writes, plays, missed } = await cutInSimulation("both-tiers", { workers: 1, chosen: oneIn(11) });
    expect(missed).toEqual([]);
    expect(plays).toBeGreaterThan(8);
    const kinds = new Set(writes.map(({ kind }) => kind));
    const told = ["rename restored", "rename done", "open termination-log"];
    const stored = ["link log", "rename data", "Put log", "Put data"];
    expect([...kinds]).toEqual(expect.arrayContaining([...told, ...stored]));
  });
});

const created: Write = { words: "create pods team-a/run-0-1-0", kind: "create pods", isAnswered: true };
const linked: Write = { words: "trainer link /trainingrun/checkpoints/log/1", kind: "link log", isAnswered: false };

describe("a cut play", () => {
  const undisturbed: ScriptPlay = {
    writes: [created, linked],
    wasCut: false,
    attempts: 1,
    end: { state: "Complete", totals: { failures: 1 } },
    broken: [],
  };
  const cut = { ordinal: 2, how: "After" } as const;
  const play: ScriptPlay = { ...undisturbed, wasCut: true, writes: [...undisturbed.writes, created] };

  test("is the same where it came to the same end, whatever more it has written", () => {
    expect(differenceOf(undisturbed, cut, play)).toBeNull();
  });

  test("may take an attempt more where somebody has died", () => {
    expect(differenceOf(undisturbed, cut, { ...play, attempts: 2 })).toBeNull();
  });

  test.each([
    ["it never came to its write", cut, { wasCut: false }, "never came to write 2 (trainer link"],
    ["a promise was broken", cut, { broken: ["S8 at 5 ms: two pods"] }, "two pods"],
    ["it took two attempts more", cut, { attempts: 3 }, "2 attempts more than the 1"],
    ["it took one more, and nobody has died", { ordinal: 1, how: "Lost" }, { attempts: 2 }, "1 attempts more"],
    ["it ended otherwise", cut, { end: { ...undisturbed.end, state: "Failed" } }, 'state is "Failed"'],
    ["it counted otherwise", cut, { end: { state: "Complete", totals: { failures: 2 } } }, 'totals is {"failures":2}'],
    ["it left something out", cut, { end: { state: "Complete" } }, "totals is absent"],
  ] as const)("is another where %s", (_what, how, change, why) => {
    expect(differenceOf(undisturbed, how, { ...play, ...change })).toContain(why);
  });

  test("has strayed where a write before its cut was another", () => {
    expect(strayingOf(undisturbed, cut, play)).toBeNull();
    const writes = [{ ...created, words: "delete pods" }, linked];
    expect(strayingOf(undisturbed, cut, { ...play, writes })).toContain("write 1 was delete pods, undisturbed create");
  });

  test("is told by its write", () => {
    expect(describeCut(undisturbed, { ordinal: 1, how: "Lost" })).toBe("Lost 1 (create pods team-a/run-0-1-0)");
  });
});

describe("the cuts of writes", () => {
  test("are three where an answer comes back, and two where the kernel gives it", () => {
    expect(cutsOf([created, linked])).toEqual([
      { ordinal: 1, how: "Before" },
      { ordinal: 1, how: "After" },
      { ordinal: 1, how: "Lost" },
      { ordinal: 2, how: "Before" },
      { ordinal: 2, how: "After" },
    ]);
    expect(cutsOf([])).toEqual([]);
  });

  test("are met by their number, until nothing counts any more", () => {
    const tally = new Tally({ ordinal: 2, how: "Lost" });
    expect([tally.take(created), tally.wasCut, tally.take(linked), tally.wasCut]).toEqual([null, false, "Lost", true]);
    const late = new Tally({ ordinal: 1, how: "Lost" });
    late.end();
    expect([late.take(created), late.wasCut, late.seen]).toEqual([null, false, []]);
  });

  test("are told without the run's uid, of which names have the first part", () => {
    const tally = new Tally(null);
    tally.runUid = "0123abcd-0000-4000-8000-000000000000";
    const words = "claims mnist-0123abcd of 0123abcd-0000-4000-8000-000000000000";
    expect(tally.plain(words)).toBe("claims mnist-UID of UID");
  });
});
