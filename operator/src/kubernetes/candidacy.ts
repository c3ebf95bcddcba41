import { atLeastAsNew } from "./kube-object.ts";
import { type LeaseRecord, microTime } from "./lease-record.ts";

/** One instant on the two clocks of one process. No time of one process is ever compared with another's. */
export type Instant = Readonly<{ monotonicMs: number; wallMs: number }>;

/** The Lease as last seen. */
export type Sight = Readonly<{
  /** Null: there is none. */
  record: LeaseRecord | null;
  /** The newest version seen, of the deletion too; null where only its absence was. */
  version: string | null;
  /**
   * When it last changed before our eyes, on our monotonic clock: its holder has not written since. Where there was
   * none from the first look on, nobody was ever seen to hold it, and this is long ago.
   */
  changedAtMs: number;
  /** When it was last seen, changed or not. */
  heardAtMs: number;
}>;

/** A write that was sent, known again by the `renewTime` it carries. */
export type Sent = Readonly<{ renewTime: string; at: Instant; isCreation: boolean }>;

/** Something told about the Lease. `askedAtMs` is when its reader sent the request, and null for a watch's event. */
export type News = Readonly<{
  record: LeaseRecord | null;
  version: string | null;
  atMs: number;
  askedAtMs: number | null;
}>;

/** All that a candidate knows; replaced, never changed. */
export type Candidacy = Readonly<{
  /** Null before the first look. */
  sight: Sight | null;
  /**
   * When the newest write of ours that is known to stand was *sent*; null where the Lease is not ours. The others
   * count from when they see that write, which is never earlier.
   */
  heldSince: Instant | null;
  /** Writes not seen to stand (yet), oldest first: refused, lost on the way, or applied with the reply lost. */
  unsettled: readonly Sent[];
  /**
   * By their `renewTime`, creations of ours that were under way when somebody else's Lease was there. A creation swaps no
   * version: where that Lease is deleted, one can still come to stand, beside a holder who does not know of it yet.
   */
  overtaken: readonly string[];
  /** The server has refused a write because the Lease is another by now. */
  isOutdated: boolean;
  /** When the newest request that was answered with a state of the Lease was sent. */
  readAtMs: number;
  /** After a request without success, the next one waits until then. */
  notBeforeMs: number;
  /** How many writes were sent. */
  writes: number;
}>;

/** What a candidate knows before its first look. */
export const nothingKnown: Candidacy = {
  sight: null,
  heldSince: null,
  unsettled: [],
  overtaken: [],
  isOutdated: false,
  readAtMs: Number.NEGATIVE_INFINITY,
  notBeforeMs: Number.NEGATIVE_INFINITY,
  writes: 0,
};

/** A write is about to be sent: from this instant on it counts, if it is ever seen to stand. */
export function sending(known: Candidacy, sent: Sent): Candidacy {
  const unsettled = [...known.unsettled, sent].slice(-mostUnsettled);
  return { ...known, unsettled, writes: known.writes + 1 };
}

/** Whether the Lease carries our name by a write of ours that counts. */
export function isOwn(known: Candidacy, identity: string, record: LeaseRecord): boolean {
  return record.holder === identity && !known.overtaken.includes(record.renewTime);
}

/** The `renewTime` of the next write. */
export function nextRenewTime(known: Candidacy, now: Instant): string {
  return microTime(now.wallMs, known.writes);
}

/** A state of the Lease was told. One that something newer has overtaken changes nothing. */
export function seeing(known: Candidacy, identity: string, news: News): Candidacy {
  if (known.sight !== null && isOvertaken(known.sight, news)) return known;
  const isSame = known.sight !== null && sameState(known.sight.record, news.record);
  const isAnswer = news.askedAtMs !== null;
  return {
    ...known,
    ...standing(known, identity, news.record),
    sight: sightAfter(known.sight, isSame, news),
    isOutdated: known.isOutdated && isSame && !isAnswer,
    readAtMs: Math.max(known.readAtMs, news.askedAtMs ?? known.readAtMs),
  };
}

/** A write was refused because the Lease is not the one that was seen: it must be looked at before the next one. */
export function beingOutdated(known: Candidacy): Candidacy {
  return { ...known, isOutdated: true };
}

/** A request had no success; the next one waits. */
export function backingOff(known: Candidacy, untilMs: number): Candidacy {
  return { ...known, notBeforeMs: untilMs };
}

const mostUnsettled = 16;

// Answers are consistent reads, so an older version there is the truth (of a restored backup) unless something newer
// was seen while the request was on its way; a watch may lag behind whatever was seen.
function isOvertaken(sight: Sight, news: News): boolean {
  const isOlder = news.version === null || (sight.version !== null && !atLeastAsNew(news.version, sight.version));
  if (news.askedAtMs === null) return isOlder;
  return isOlder && sight.changedAtMs > news.askedAtMs;
}

function sightAfter(before: Sight | null, isSame: boolean, news: News): Sight {
  const { record, atMs, askedAtMs } = news;
  const version = news.version ?? before?.version ?? null;
  // Not so for a watch's event: that one tells of a deletion.
  const neverWas = before === null && record === null && askedAtMs !== null;
  const changedAtMs = neverWas ? Number.NEGATIVE_INFINITY : isSame && before !== null ? before.changedAtMs : atMs;
  return { record, version, changedAtMs, heardAtMs: atMs };
}

// Versions and not contents: whoever swaps the version seen swaps a Lease that nobody has renewed since.
function sameState(one: LeaseRecord | null, other: LeaseRecord | null): boolean {
  return one?.uid === other?.uid && one?.resourceVersion === other?.resourceVersion;
}

// A Lease that is gone takes nothing from its holder: whoever saw it waits as long before making a new one.
function standing(
  known: Candidacy,
  identity: string,
  record: LeaseRecord | null,
): Pick<Candidacy, "heldSince" | "unsettled" | "overtaken"> {
  const { heldSince, unsettled, overtaken } = known;
  if (record === null) return { heldSince, unsettled, overtaken };
  if (!isOwn(known, identity, record)) {
    const creations = unsettled.filter(({ isCreation }) => isCreation).map(({ renewTime }) => renewTime);
    return {
      heldSince: null,
      unsettled: unsettled.filter(({ isCreation }) => !isCreation),
      overtaken: [...overtaken, ...creations].slice(-mostUnsettled),
    };
  }
  const index = unsettled.findLastIndex(({ renewTime }) => renewTime === record.renewTime);
  const settled = unsettled[index];
  return settled === undefined
    ? { heldSince, unsettled, overtaken }
    : { heldSince: settled.at, unsettled: unsettled.slice(index + 1), overtaken };
}
