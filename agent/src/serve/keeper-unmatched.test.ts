import type { FailedVerdict } from "@trainingrun/checkpoint/tiers/mend.ts";
import { describe, expect, test } from "vitest";
import { checkpointOf } from "../../test/sample.ts";
import { type Entries, type Event, next, patienceMs } from "./keeper-unmatched.ts";

const ref = checkpointOf(10);
const { digest } = ref;
const bytesDiffer: FailedVerdict = { ok: false, reason: "BytesDiffer", message: "a chunk differs" };
const missing: FailedVerdict = { ok: false, reason: "Missing", message: "it is not there" };

const differs = (atMs: number, found = bytesDiffer, isYoung = false): Event => {
  return { kind: "Differs", ref, found, beganMs: atMs, endedMs: atMs + 10, time: `${atMs}`, isYoung };
};
const noCopy = (atMs: number, found = bytesDiffer): Event => ({ kind: "NoCopyHelps", digest, found, atMs });
const notKept = (atMs: number): Event => ({ kind: "CopyNotKept", digest, found: bytesDiffer, atMs });
const putOff = (atMs: number): Event => ({ kind: "PutOff", digest, why: "no room", atMs });
const settled: Event = { kind: "Settled", digests: new Set([digest]) };

const nothing: Entries = new Map();
const after = (...events: readonly Event[]) => events.reduce(next, nothing).get(digest);

/** Every fate, and the events that lead to it. */
const ways = {
  None: [],
  OutOfSight: [differs(0, missing, true)],
  Doubted: [differs(0)],
  PutOff: [differs(0), putOff(20)],
  Held: [differs(0), noCopy(20)],
  NotKept: [differs(0), notKept(20)],
  Missing: [differs(0, missing), noCopy(20, missing)],
} as const;

const now = 1_000_000;
const events = {
  differs: differs(now),
  "is not there yet": differs(now, missing, true),
  "no copy helps": noCopy(now),
  "it is nowhere": noCopy(now, missing),
  "the copy differs": notKept(now),
  "has to wait": putOff(now),
  settled,
} as const;

describe("The fate of what does not match", () => {
  const table: Record<keyof typeof ways, readonly (string | undefined)[]> = {
    //           differs    not yet       no copy   nowhere    copy       wait      settled
    None: ["Doubted", "OutOfSight", undefined, undefined, undefined, undefined, undefined],
    OutOfSight: ["Doubted", "OutOfSight", "Held", "Missing", "NotKept", "PutOff", undefined],
    Doubted: ["Doubted", "OutOfSight", "Held", "Missing", "NotKept", "PutOff", undefined],
    PutOff: ["Doubted", "OutOfSight", "Held", "Missing", "NotKept", "PutOff", undefined],
    Held: ["Doubted", "OutOfSight", "Held", "Missing", "NotKept", "PutOff", undefined],
    NotKept: ["Doubted", "OutOfSight", "Held", "Missing", "NotKept", "PutOff", undefined],
    Missing: ["Doubted", "OutOfSight", "Held", "Missing", "NotKept", "PutOff", undefined],
  };
  const rows = Object.entries(ways).flatMap(([from, way]) =>
    Object.entries(events).map(([what, event], index) => ({
      from,
      what,
      to: table[from as keyof typeof ways][index],
      found: after(...way, event)?.fate,
    })),
  );
  test.each(rows)("is $to where it was $from and $what", ({ to, found }) => expect(found).toBe(to));
});

describe("What is known of it", () => {
  test("is when it first failed and when it was last read, over every try between", () => {
    const again = after(differs(0), noCopy(20), differs(patienceMs + 20), putOff(patienceMs + 40));
    expect(again).toMatchObject({ failedMs: 10, readMs: patienceMs + 20, time: "0", inVain: 1 });
  });

  test.each([
    ["not in sight", [differs(0, missing, true)]],
    ["nowhere", [differs(0, missing), noCopy(5, missing)]],
  ])("does not count the time in which it was %s", (_, way) => {
    expect(after(...way, differs(now))).toMatchObject({ fate: "Doubted", failedMs: now + 10, inVain: 0, rounds: 0 });
  });

  test("says when to look again: soon for what is to come, after minutes for what failed, then ever more rarely", () => {
    expect(after(differs(0, missing, true))?.againMs).toBe(1_010);
    expect(after(differs(0))?.againMs).toBe(10);
    expect(after(differs(0, missing), noCopy(20, missing))?.againMs).toBe(60_020);
    const rounds = (count: number) => Array.from({ length: count }, () => [differs(0), noCopy(0)]).flat();
    const minutes = [1, 2, 3, 4, 5, 50].map((count) => (after(...rounds(count))?.againMs ?? 0) / 60_000);
    expect(minutes).toEqual([5, 10, 20, 40, 60, 60]);
  });

  test("says why it is not mended, until it is tried again", () => {
    expect(after(differs(0), putOff(5))?.putOff).toBe("no room");
    expect(after(differs(0), putOff(5), differs(10))?.putOff).toBeNull();
  });

  test("is another's as well", () => {
    const other = checkpointOf(20);
    const both = next(next(nothing, differs(0)), { ...differs(0), ref: other } as Event);
    expect([...next(both, settled).keys()]).toEqual([other.digest]);
  });
});
