import { describe, expect, it } from "vitest";
import { backingOff, beingOutdated, type Candidacy, nothingKnown, seeing, sending } from "./candidacy.ts";
import { checkTiming, heldUntilMs, isHeld, leaseTiming, type Move, nextMove } from "./lease.ts";
import { type LeaseRecord, microTime } from "./lease-record.ts";

const wallMs = Date.UTC(2026, 0, 2, 3, 4, 5);
const at = (monotonicMs: number, wallAheadMs = 0) => ({ monotonicMs, wallMs: wallMs + monotonicMs + wallAheadMs });
const record = (over: Partial<LeaseRecord> = {}): LeaseRecord => ({
  uid: "u1",
  resourceVersion: "5",
  holder: "other",
  durationSeconds: 15,
  renewTime: "2026-01-01T00:00:00.000000Z",
  transitions: 3,
  ...over,
});
const read = (known: Candidacy, seen: LeaseRecord | null, atMs: number): Candidacy =>
  seeing(known, "self", { record: seen, version: seen?.resourceVersion ?? null, atMs, askedAtMs: atMs - 1 });
/** What a process knows that read this state at 1 s. */
const sighted = (seen: LeaseRecord | null): Candidacy => read(nothingKnown, seen, 1_000);
/** What one knows that wrote the Lease at `sentMs`, and was answered 100 ms later. */
const holding = (sentMs: number): Candidacy => {
  const renewTime = microTime(at(sentMs).wallMs, 0);
  const sent = sending(sighted(record()), { renewTime, at: at(sentMs), isCreation: false });
  return read(sent, record({ holder: "self", resourceVersion: "6", renewTime }), sentMs + 100);
};
/** What one knows whose creation came to stand when it had seen another's Lease meanwhile. */
const overtaken = (): Candidacy => {
  const creating = sending(sighted(null), { renewTime: "late", at: at(1_100), isCreation: true });
  const created = record({ holder: "self", renewTime: "late", uid: "u2", resourceVersion: "8" });
  return read(read(read(creating, record(), 2_000), null, 3_000), created, 4_000);
};
const self = { identity: "self", wants: "Lead", patienceMs: 200 } as const;
const leaving = { ...self, wants: "Leave" } as const;

describe("the next move of a candidate", () => {
  const look: Move = { kind: "Look" };
  const waits = (untilMs: number): Move => ({ kind: "Wait", untilMs });
  const kind = (name: Move["kind"]) => expect.objectContaining({ kind: name });

  const following: readonly [name: string, known: Candidacy, nowMs: number, move: unknown][] = [
    ["looks first of all", nothingKnown, 0, look],
    ["makes a Lease where none was ever seen", sighted(null), 1_000, kind("Create")],
    ["waits for the holder, and for news of it", sighted(record()), 2_000, waits(3_500)],
    ["looks where nothing was heard for longer than a holder is silent", sighted(record()), 3_500, look],
    ["waits out the lease and its own patience", read(sighted(record()), record(), 16_000), 16_100, waits(16_200)],
    ["takes a Lease that nobody renewed", sighted(record()), 16_200, kind("Take")],
    ["takes one that was given up at once", sighted(record({ holder: "", durationSeconds: 1 })), 1_000, kind("Take")],
    ["waits where a name was cleared by hand", sighted(record({ holder: "" })), 2_000, waits(3_500)],
    [
      "waits where one was written that nobody ever held",
      sighted(record({ holder: "", durationSeconds: 0 })),
      2_000,
      waits(3_500),
    ],
    ["waits where the Lease was deleted before its eyes", read(sighted(record()), null, 4_000), 6_000, waits(6_500)],
    ["makes a new one when the old one's time is over", read(sighted(record()), null, 4_000), 19_200, kind("Create")],
    ["is not hurried by a Lease that asks for less", sighted(record({ durationSeconds: 2 })), 16_199, look],
    ["waits as long as a Lease asks for", sighted(record({ durationSeconds: 40 })), 41_199, look],
    ["and takes it then", sighted(record({ durationSeconds: 40 })), 41_200, kind("Take")],
    [
      "waits no longer than a minute for a Lease that asks for years",
      sighted(record({ durationSeconds: 2e9 })),
      61_200,
      kind("Take"),
    ],
    ["takes its own name, left on it by an earlier term", sighted(record({ holder: "self" })), 1_000, kind("Take")],
    ["waits for its own name, where it wrote that beside another holder", overtaken(), 4_100, waits(6_500)],
    ["and takes it when that one's time is over", overtaken(), 19_200, kind("Take")],
    ["looks again after a conflict", beingOutdated(sighted(record())), 1_100, look],
    ["holds still after an error", backingOff(sighted(null), 9_000), 8_999, waits(9_000)],
  ];
  it.each(following)("%s", (_, known, nowMs, move) => {
    expect(nextMove(known, self, at(nowMs), leaseTiming)).toEqual(move);
  });

  const leading: readonly [name: string, known: Candidacy, now: ReturnType<typeof at>, move: unknown][] = [
    ["renews 2 s after it sent the last renewal", holding(5_000), at(7_000), kind("Renew")],
    ["not before", holding(5_000), at(6_999), waits(7_000)],
    ["renews at once where the machine was suspended", holding(5_000), at(5_200, 2_001), kind("Renew")],
    ["does not, where its clock was set back", holding(5_000), at(5_200, -3_600_000), waits(7_000)],
    ["makes the Lease anew where it was deleted", read(holding(5_000), null, 6_000), at(6_000), kind("Create")],
    ["but not where the machine was suspended", read(holding(5_000), null, 6_000), at(6_000, 2_001), waits(8_500)],
    ["but takes it anew once its own time is over", holding(5_000), at(15_000), kind("Take")],
    ["and makes none then", read(holding(5_000), null, 6_000), at(15_000), look],
  ];
  it.each(leading)("as a holder: %s", (_, known, now, move) => {
    expect(nextMove(known, self, now, leaseTiming)).toEqual(move);
  });

  const unanswered = sending(sighted(record()), { renewTime: "t", at: at(16_500), isCreation: false });
  const departing: readonly [name: string, known: Candidacy, nowMs: number, move: unknown][] = [
    ["has nothing to give up before its first look", nothingKnown, 0, { kind: "Done" }],
    ["has nothing to give up where another holds", sighted(record()), 1_000, { kind: "Done" }],
    ["nor what it wrote beside another holder", overtaken(), 4_100, { kind: "Done" }],
    ["looks whether a write without an answer was made", unanswered, 16_600, look],
    ["and once only", read(unanswered, record(), 16_700), 16_800, { kind: "Done" }],
    ["gives up what it holds", holding(5_000), 5_500, kind("Release")],
    ["looks first where it was refused for being late", beingOutdated(holding(5_000)), 5_500, look],
    ["holds still after an error", backingOff(holding(5_000), 6_500), 5_500, waits(6_500)],
  ];
  it.each(departing)("as one that leaves: %s", (_, known, nowMs, move) => {
    expect(nextMove(known, leaving, at(nowMs), leaseTiming)).toEqual(move);
  });

  it("writes what other clients of the API read, over the version it has seen and no other", () => {
    const taken = nextMove(sighted(record()), self, at(16_200), leaseTiming);
    const time = "2026-01-02T03:04:21.200000Z";
    const spec = { holderIdentity: "self", leaseDurationSeconds: 15, renewTime: time };
    expect(taken).toEqual({
      kind: "Take",
      over: record(),
      spec: { ...spec, acquireTime: time, leaseTransitions: 4 },
    });
    expect(nextMove(sighted(null), self, at(16_200), leaseTiming)).toEqual({
      kind: "Create",
      spec: { ...spec, acquireTime: time, leaseTransitions: 0 },
    });
    const renewed = nextMove(holding(5_000), self, at(7_000), leaseTiming);
    expect(renewed).toMatchObject({ kind: "Renew", over: { resourceVersion: "6" } });
    expect("spec" in renewed && renewed.spec).toEqual({ ...spec, renewTime: "2026-01-02T03:04:12.000001Z" });
    const released = nextMove(holding(5_000), leaving, at(7_000), leaseTiming);
    const releasedAt = "2026-01-02T03:04:12.000001Z";
    expect("spec" in released && released.spec).toEqual({
      holderIdentity: "",
      leaseDurationSeconds: 1,
      renewTime: releasedAt,
      acquireTime: releasedAt,
    });
  });

  it("survives a count of transitions that was edited to its last value", () => {
    const move = nextMove(sighted(record({ transitions: 2 ** 31 - 1 })), self, at(16_200), leaseTiming);
    expect(move).toMatchObject({ kind: "Take", spec: { leaseTransitions: 0 } });
  });
});

describe("holding a Lease", () => {
  it("lasts 10 s from when the renewal was sent, whenever it was answered", () => {
    expect(heldUntilMs(holding(5_000), leaseTiming)).toBe(15_000);
    expect(isHeld(holding(5_000), at(14_999), leaseTiming)).toBe(true);
    expect(isHeld(holding(5_000), at(15_000), leaseTiming)).toBe(false);
  });

  it("is in doubt while the wall clock has run ahead, as after a suspension, and not when it is set back", () => {
    expect(isHeld(holding(5_000), at(6_000, 2_001), leaseTiming)).toBe(false);
    expect(isHeld(holding(5_000), at(6_000, 1_999), leaseTiming)).toBe(true);
    expect(isHeld(holding(5_000), at(6_000, -3_600_000), leaseTiming)).toBe(true);
  });

  it("is nobody's before a look", () => {
    expect(isHeld(nothingKnown, at(0), leaseTiming)).toBe(false);
  });
});

describe("a timing", () => {
  const bad: readonly [timing: Partial<typeof leaseTiming>, words: string][] = [
    [
      { renewDeadlineMs: 13_000 },
      "the renew deadline is too close to the lease: lease 15000 ms, renew deadline 13000 ms",
    ],
    [{ leaseMs: 61_000 }, "no lease is waited for over 60000 ms"],
    [{ retryMs: 6_000 }, "a renewal could not be repeated before the deadline"],
    [{ retryMs: 0 }, "a renewal could not be repeated before the deadline"],
  ];
  it.each(bad)("under which two could lead is refused: %o", (over, words) => {
    expect(() => checkTiming({ ...leaseTiming, ...over })).toThrow(words);
  });

  it("as Kubernetes' own controllers have it is taken", () => {
    expect(() => checkTiming(leaseTiming)).not.toThrow();
  });
});
