import type { CreateRefusal, Instant } from "../core/observed.ts";
import { isOverQuota, isPassing } from "../core/refusal.ts";
import { placeOf } from "../kubernetes/kube-object.ts";

/** The run for which something could not be created: its uid, and its key in the queue. */
export type RefusedRun = Readonly<{ uid: string; key: string }>;

/**
 * The last refusal of each object that could not be created, per run, and of no more objects than a run asks for at a
 * time: a pass ends at the first refusal. Held in memory alone: after a restart the creation is tried, and refused, again.
 */
export class Refusals {
  readonly #byRun = new Map<string, Row>();
  /** By namespace, when something went there that may have been in the way of what a quota refuses. */
  readonly #roomAt = new Map<string, Instant>();

  /** Remembers a refusal, with the first in its row. The names of pods change with the attempt, so old ones go. */
  note({ uid, key }: RefusedRun, refusal: CreateRefusal): void {
    const refused = new Map(this.#byRun.get(uid)?.refused);
    const known = refused.get(refusal.name);
    refused.delete(refusal.name);
    refused.set(refusal.name, known === undefined ? refusal : following(known, refusal));
    this.#byRun.set(uid, { key, refused: new Map([...refused].slice(-mostPerRun)) });
  }

  /** The object stands: its refusal is history. */
  clear(runUid: string, name: string): void {
    const row = this.#byRun.get(runUid);
    if (row === undefined) return;
    const kept = new Map(row.refused);
    kept.delete(name);
    if (kept.size === 0) this.#byRun.delete(runUid);
    else this.#byRun.set(runUid, { ...row, refused: kept });
  }

  /** The run is gone. */
  forget(runUid: string): void {
    this.#byRun.delete(runUid);
  }

  of(runUid: string): readonly CreateRefusal[] {
    const row = this.#byRun.get(runUid);
    if (row === undefined) return [];
    const crowd = [...this.#byRun.values()].filter(({ refused }) => [...refused.values()].some(isPassing)).length;
    return [...row.refused.values()].map((refusal) => ({ ...refusal, crowd: Math.max(1, crowd) }));
  }

  /**
   * Something went that a quota of the namespace may have counted. Returns the keys of the runs that are to be looked at
   * again for it: each once until it has been tried, and nobody for what goes within a second of something else, which is
   * long before any of them is tried.
   */
  roomIn(namespace: string, now: Instant): readonly string[] {
    const last = this.#roomAt.get(namespace);
    if (last !== undefined && Math.abs(now - last) < roomEveryMs) return [];
    const refused = [...this.#byRun].filter(([, row]) => isRefusedIn(namespace, row));
    if (refused.length === 0) this.#roomAt.delete(namespace);
    else this.#roomAt.set(namespace, now);
    return refused.flatMap(([uid, row]) => (this.#makeRoom(uid, row, now) ? [row.key] : []));
  }

  /** Room that came before it is what the run is tried for next, however much goes after that: it would never be its turn. */
  #makeRoom(uid: string, row: Row, now: Instant): boolean {
    const isNews = (refusal: CreateRefusal) => isOverQuota(refusal) && refusal.inVainSince <= refusal.at;
    if (![...row.refused.values()].some(isNews)) return false;
    const refused = [...row.refused].map(
      ([name, refusal]) => [name, isNews(refusal) ? { ...refusal, inVainSince: now } : refusal] as const,
    );
    this.#byRun.set(uid, { ...row, refused: new Map(refused) });
    return true;
  }
}

type Row = Readonly<{ key: string; refused: ReadonlyMap<string, CreateRefusal> }>;

const mostPerRun = 8;
const roomEveryMs = 1_000;

/** What was asked for in another form than before has only begun to be refused. */
function following(known: CreateRefusal, refusal: CreateRefusal): CreateRefusal {
  const isSame = known.generation === refusal.generation;
  return { ...refusal, firstAt: known.firstAt, ...(isSame ? { inVainSince: known.inVainSince } : {}) };
}

function isRefusedIn(namespace: string, { key, refused }: Row): boolean {
  return placeOf(key).namespace === namespace && [...refused.values()].some(isOverQuota);
}
