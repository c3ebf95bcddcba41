import type { CreateRefusal, Instant } from "../core/observed.ts";
import { isOverQuota, refuserOf } from "../core/refusal.ts";
import { placeOf } from "../kubernetes/kube-object.ts";

/** The run for which something could not be created: its uid, and its key in the queue. */
export type RefusedRun = Readonly<{ uid: string; key: string }>;

/**
 * The last refusal of each object that could not be created, per run, and of no more objects than a run asks for at a
 * time: a pass ends at the first refusal. Held in memory alone: after a restart the creation is tried, and refused, again.
 */
export class Refusals {
  readonly #byRun = new Map<string, Row>();
  /** By what refuses them, the runs that wait for it to come back. Each pass of each of them asks how many they are. */
  readonly #crowds = new Map<string, Set<string>>();
  /** By namespace, when something went there that may have been in the way of what a quota refuses. */
  readonly #roomAt = new Map<string, Instant>();

  /** Remembers a refusal, with the first in its row. The names of pods change with the attempt, so old ones go. */
  note({ uid, key }: RefusedRun, refusal: CreateRefusal): void {
    const refused = new Map(this.#byRun.get(uid)?.refused);
    const known = refused.get(refusal.name);
    refused.delete(refusal.name);
    refused.set(refusal.name, known === undefined ? refusal : following(known, refusal));
    this.#put(uid, { key, refused: new Map([...refused].slice(-mostPerRun)) });
  }

  /** The object stands: its refusal is history. */
  clear(runUid: string, name: string): void {
    const row = this.#byRun.get(runUid);
    if (row === undefined) return;
    const kept = new Map(row.refused);
    kept.delete(name);
    this.#put(runUid, kept.size === 0 ? undefined : { ...row, refused: kept });
  }

  /** The run is gone. */
  forget(runUid: string): void {
    this.#put(runUid, undefined);
  }

  of(runUid: string): readonly CreateRefusal[] {
    const row = this.#byRun.get(runUid);
    if (row === undefined) return [];
    const { namespace } = placeOf(row.key);
    return [...row.refused.values()].map((refusal) => {
      const refuser = refuserOf(refusal, namespace);
      return { ...refusal, crowd: refuser === null ? 1 : (this.#crowds.get(refuser)?.size ?? 1) };
    });
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

  #put(uid: string, row: Row | undefined): void {
    for (const refuser of refusersOf(this.#byRun.get(uid))) this.#leave(refuser, uid);
    if (row === undefined) this.#byRun.delete(uid);
    else this.#byRun.set(uid, row);
    for (const refuser of refusersOf(row)) {
      this.#crowds.set(refuser, (this.#crowds.get(refuser) ?? new Set<string>()).add(uid));
    }
  }

  #leave(refuser: string, uid: string): void {
    const crowd = this.#crowds.get(refuser);
    crowd?.delete(uid);
    if (crowd?.size === 0) this.#crowds.delete(refuser);
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

function refusersOf(row: Row | undefined): readonly string[] {
  if (row === undefined) return [];
  const { namespace } = placeOf(row.key);
  return [...row.refused.values()].flatMap((refusal) => refuserOf(refusal, namespace) ?? []);
}

function isRefusedIn(namespace: string, { key, refused }: Row): boolean {
  return placeOf(key).namespace === namespace && [...refused.values()].some(isOverQuota);
}
