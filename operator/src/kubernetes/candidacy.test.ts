import { describe, expect, it } from "vitest";
import {
  beingOutdated,
  type Candidacy,
  isOwn,
  type News,
  nextRenewTime,
  nothingKnown,
  seeing,
  sending,
} from "./candidacy.ts";
import type { LeaseRecord } from "./lease-record.ts";

const record = (over: Partial<LeaseRecord> = {}): LeaseRecord => ({
  uid: "u1",
  resourceVersion: "5",
  holder: "other",
  durationSeconds: 15,
  renewTime: "r0",
  transitions: 3,
  ...over,
});
const at = (monotonicMs: number) => ({ monotonicMs, wallMs: monotonicMs });
const answer = (seen: LeaseRecord | null, atMs: number, askedAtMs = atMs - 10): News => ({
  record: seen,
  version: seen?.resourceVersion ?? null,
  atMs,
  askedAtMs,
});
const event = (seen: LeaseRecord | null, atMs: number, version = seen?.resourceVersion ?? null): News => ({
  record: seen,
  version,
  atMs,
  askedAtMs: null,
});
const after = (known: Candidacy, ...news: readonly News[]) =>
  news.reduce((seen, next) => seeing(seen, "self", next), known);

describe("what a candidate has seen", () => {
  it("changed when it came to know of it, and is heard of each time", () => {
    const { sight } = after(nothingKnown, answer(record(), 100), event(record(), 900), answer(record(), 1_500));
    expect(sight).toEqual({ record: record(), version: "5", changedAtMs: 100, heardAtMs: 1_500 });
  });

  it("changes with its version, whatever else is the same", () => {
    const { sight } = after(nothingKnown, answer(record(), 100), event(record({ resourceVersion: "6" }), 900));
    expect(sight).toMatchObject({ changedAtMs: 900, heardAtMs: 900 });
  });

  it("was free for ever where nothing was there at the first look, but not where a deletion was told", () => {
    const free = { changedAtMs: Number.NEGATIVE_INFINITY };
    expect(after(nothingKnown, answer(null, 100)).sight).toMatchObject(free);
    expect(after(nothingKnown, answer(null, 100), answer(null, 900)).sight).toMatchObject(free);
    expect(after(nothingKnown, event(null, 100, "7")).sight).toMatchObject({ changedAtMs: 100 });
    expect(after(nothingKnown, answer(record(), 100), answer(null, 900)).sight).toMatchObject({ changedAtMs: 900 });
  });

  it("does not go back to what a watch that lags tells", () => {
    const known = after(nothingKnown, answer(record({ resourceVersion: "10" }), 100));
    expect(after(known, event(record({ resourceVersion: "9" }), 200))).toBe(known);
    expect(after(known, event(null, 200, "9"))).toBe(known);
    const deleted = after(known, event(null, 200, "11"));
    expect(after(deleted, event(record({ resourceVersion: "10" }), 300))).toBe(deleted);
  });

  it("does not go back to an answer that something newer overtook on its way", () => {
    const known = after(nothingKnown, event(record({ resourceVersion: "10" }), 100));
    expect(after(known, answer(record({ resourceVersion: "9" }), 120, 90))).toBe(known);
    expect(after(known, answer(null, 120, 90))).toBe(known);
  });

  it("does go back where the server itself has, restored from a backup", () => {
    const known = after(nothingKnown, event(record({ resourceVersion: "1000" }), 100));
    const restored = after(known, answer(record({ resourceVersion: "9" }), 300));
    expect(restored.sight).toMatchObject({ version: "9", changedAtMs: 300 });
    expect(after(restored, event(record({ resourceVersion: "10" }), 400)).sight).toMatchObject({ version: "10" });
  });
});

describe("what a candidate has written", () => {
  const swap = (renewTime: string, ms: number) => ({ renewTime, at: at(ms), isCreation: false });
  const sent = sending(sending(nothingKnown, swap("r1", 50)), swap("r2", 60));
  const own = (renewTime: string, version: string) => record({ holder: "self", renewTime, resourceVersion: version });

  it("counts from when it was sent, once it is seen to stand, by an answer or by reading it back", () => {
    expect(after(sent, answer(own("r2", "6"), 500)).heldSince).toEqual(at(60));
    const known = after(sent, event(own("r1", "6"), 9_000));
    expect(known).toMatchObject({ heldSince: at(50), unsettled: [swap("r2", 60)] });
    expect(after(known, answer(own("r2", "7"), 9_500))).toMatchObject({ heldSince: at(60), unsettled: [] });
  });

  it("counts for nothing where it is not known again: edited by hand, or of another life", () => {
    expect(after(sent, answer(own("r9", "6"), 500)).heldSince).toBeNull();
    const held = after(sent, answer(own("r2", "6"), 500));
    expect(after(held, answer(own("edited", "7"), 900)).heldSince).toEqual(at(60));
  });

  it("is lost with another holder's name, and does not come back with its own", () => {
    const lost = after(sent, answer(own("r2", "6"), 500), event(record({ resourceVersion: "7" }), 600));
    expect(lost.heldSince).toBeNull();
    expect(after(lost, event(own("r2", "8"), 700)).heldSince).toBeNull();
  });

  it("stands where the Lease is deleted: whoever sees that waits as long as before", () => {
    expect(after(sent, answer(own("r2", "6"), 500), event(null, 600, "7")).heldSince).toEqual(at(60));
  });

  it("counts for nothing where it made the Lease when somebody else's had been there meanwhile", () => {
    const creating = sending(nothingKnown, { renewTime: "r1", at: at(50), isCreation: true });
    expect(after(creating, event(own("r1", "8"), 700))).toMatchObject({ heldSince: at(50) });
    const late = after(creating, event(record(), 500), event(null, 600, "7"), event(own("r1", "8"), 700));
    expect(late).toMatchObject({ heldSince: null, unsettled: [] });
    expect(isOwn(late, "self", own("r1", "8"))).toBe(false);
    expect(isOwn(late, "self", own("r2", "9"))).toBe(true);
  });

  it("looks unlike everything else that this process writes, even where its clock stands still", () => {
    const times = [0, 1, 2].reduce<Candidacy>(
      (known) => sending(known, swap(nextRenewTime(known, at(0)), 0)),
      nothingKnown,
    );
    expect(times.unsettled.map(({ renewTime }) => renewTime)).toEqual([
      "1970-01-01T00:00:00.000000Z",
      "1970-01-01T00:00:00.000001Z",
      "1970-01-01T00:00:00.000002Z",
    ]);
  });

  it("is not remembered without end", () => {
    const many = Array.from({ length: 50 }, (_, index) => `r${index}`);
    const known = many.reduce<Candidacy>((before, renewTime) => sending(before, swap(renewTime, 0)), nothingKnown);
    expect(known.unsettled).toHaveLength(16);
    expect(known.unsettled.at(-1)?.renewTime).toBe("r49");
  });
});

describe("after a conflict", () => {
  const outdated = beingOutdated(after(nothingKnown, answer(record(), 100)));

  it("is out of date until it has looked, or was told of something newer", () => {
    expect(outdated.isOutdated).toBe(true);
    expect(after(outdated, event(record(), 200)).isOutdated).toBe(true);
    expect(after(outdated, answer(record(), 200)).isOutdated).toBe(false);
    expect(after(outdated, event(record({ resourceVersion: "6" }), 200)).isOutdated).toBe(false);
  });
});
