import type { Cut, How, Write } from "./cut.ts";

/** Counts the writes of a play in the order in which they come, and knows which of them is cut. */
export class Tally {
  readonly #cut: Cut | null;
  readonly #seen: Write[] = [];
  #wasCut = false;
  #isOver = false;
  /** The run's uid. Everything is told without it, as it is drawn. */
  runUid = "";

  constructor(cut: Cut | null) {
    this.#cut = cut;
  }

  /** Every write so far. */
  get seen(): readonly Write[] {
    return this.#seen;
  }

  /** Whether the write that is to be cut has come. */
  get wasCut(): boolean {
    return this.#wasCut;
  }

  /** Counts a write that is about to be done; says how it is cut, where it is the one. */
  take(write: Write): How | null {
    if (this.#isOver) return null;
    this.#seen.push(write);
    if (this.#cut?.ordinal !== this.#seen.length) return null;
    this.#wasCut = true;
    return this.#cut.how;
  }

  /** What comes from now on is of no matter: a Lease is renewed for ever. */
  end(): void {
    this.#isOver = true;
  }

  /** A text without the run's uid, of which names have the first part. */
  plain(text: string): string {
    if (this.runUid === "") return text;
    const [short = this.runUid] = this.runUid.split("-");
    return text.replaceAll(this.runUid, "UID").replaceAll(short, "UID");
  }
}
