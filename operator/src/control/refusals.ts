import type { CreateRefusal } from "../core/observed.ts";

/**
 * The last refusal of each object that could not be created, per run. Held in memory alone: after a restart
 * the creation is tried, and refused, again.
 */
export class Refusals {
  readonly #byRun = new Map<string, ReadonlyMap<string, CreateRefusal>>();

  /** Remembers a refusal; true where the object was not refused in these words before. */
  note(runUid: string, refusal: CreateRefusal): boolean {
    const known = this.#byRun.get(runUid)?.get(refusal.name);
    const noted = { ...refusal, firstAt: known?.firstAt ?? refusal.firstAt };
    this.#byRun.set(runUid, new Map([...(this.#byRun.get(runUid) ?? []), [refusal.name, noted]]));
    return known?.reason !== refusal.reason || known.message !== refusal.message;
  }

  /** The object stands: its refusal is history. */
  clear(runUid: string, name: string): void {
    const kept = new Map(this.#byRun.get(runUid));
    kept.delete(name);
    if (kept.size === 0) this.#byRun.delete(runUid);
    else this.#byRun.set(runUid, kept);
  }

  /** The run is gone. */
  forget(runUid: string): void {
    this.#byRun.delete(runUid);
  }

  of(runUid: string): readonly CreateRefusal[] {
    return [...(this.#byRun.get(runUid)?.values() ?? [])];
  }
}
