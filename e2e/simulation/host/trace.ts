import { fraction, RunningHash, start } from "./chance.ts";

/**
 * What happened in a simulation, in its order, as one hash: two plays of a seed are the same play when it is equal. With
 * `keep` the last lines are kept as well, for a person to read.
 */
export class Trace {
  readonly #keep: number;
  readonly #lines: string[] = [];
  readonly #hash = new RunningHash(start);
  #count = 0;

  constructor({ keep = 0 }: { keep?: number } = {}) {
    this.#keep = keep;
  }

  /** Notes that at this instant somebody did something, or something was done to it. */
  note(atMs: number, who: string, what: string): void {
    this.#count += 1;
    this.#hash.number(atMs);
    this.#hash.text(who);
    this.#hash.text(what);
    if (this.#keep === 0) return;
    this.#lines.push(`${atMs.toFixed(3).padStart(14)} ${who}: ${what}`);
    // Cut seldom and by much: moving the whole list for every line would cost more than the simulation.
    if (this.#lines.length > 2 * this.#keep) this.#lines.splice(0, this.#lines.length - this.#keep);
  }

  /** The hash of all notes so far, and how many they are. */
  get hash(): string {
    return `${this.#count}:${fraction(this.#hash).toString(16).slice(2)}`;
  }

  /** The last lines, oldest first. */
  get lines(): readonly string[] {
    return this.#lines.slice(-this.#keep || this.#lines.length);
  }
}
