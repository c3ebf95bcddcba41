import type { CreateRefusal } from "../core/observed.ts";

/**
 * The last refusal of each object that could not be created, per run, and of no more objects than a run asks for at a
 * time: a pass ends at the first refusal. Held in memory alone: after a restart the creation is tried, and refused, again.
 */
export class Refusals {
  readonly #byRun = new Map<string, ReadonlyMap<string, CreateRefusal>>();

  /** Remembers a refusal, with the instant of the first in its row. The names of pods change with the attempt, so old ones go. */
  note(runUid: string, refusal: CreateRefusal): void {
    const refused = new Map(this.#byRun.get(runUid));
    const known = refused.get(refusal.name);
    refused.delete(refusal.name);
    refused.set(refusal.name, { ...refusal, firstAt: known?.firstAt ?? refusal.firstAt });
    this.#byRun.set(runUid, new Map([...refused].slice(-mostPerRun)));
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

const mostPerRun = 8;
