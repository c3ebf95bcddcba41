import { sleep } from "./sleep.ts";

/** One time of leading, from winning the Lease to losing it or giving it up. */
export type Term = Readonly<{
  /** The Lease's `leaseTransitions` at its beginning: for logs. No two terms of one Lease share it. */
  number: number;
  /** Aborted when the term is asked to end: begin nothing new, finish what is under way, return. */
  leaving: AbortSignal;
  /** Aborted when the term is over: every request of its work is bound to this, so that none is sent after it. */
  signal: AbortSignal;
  /** To be called right before a write is sent; throws {@link NotLeadingError} where another may be leading. */
  assertHeld: () => void;
}>;

/** A write that must not be made, because the Lease is not held (any more). */
export class NotLeadingError extends Error {
  override readonly name = "NotLeadingError";
}

/**
 * Thrown by the work of a term to hand the Lease on: it cannot be done here at present, and perhaps elsewhere. For
 * `restMs` this process does not take the Lease again, whoever holds it then.
 */
export class ResigningError extends Error {
  override readonly name = "ResigningError";
  readonly restMs: number;

  constructor(message: string, { restMs, cause }: { restMs: number; cause?: unknown }) {
    super(message, { cause });
    this.restMs = restMs;
  }
}

/** A term that can be ended; the election's own side of a {@link Term}. */
export class OpenTerm {
  readonly number: number;
  readonly #leaving = new AbortController();
  readonly #over = new AbortController();
  readonly #isHeld: () => boolean;

  constructor(number: number, isHeld: () => boolean) {
    this.number = number;
    this.#isHeld = isHeld;
  }

  get leaving(): AbortSignal {
    return this.#leaving.signal;
  }

  get signal(): AbortSignal {
    return this.#over.signal;
  }

  readonly assertHeld = (): void => {
    if (!this.#over.signal.aborted && this.#isHeld()) return;
    throw new NotLeadingError(`Cannot write because the lease is not held: term ${this.number}`);
  };

  /** Asks its work to come to an end. */
  ask(reason: Error): void {
    this.#leaving.abort(reason);
  }

  /** Ends it: nothing of it may be sent from now on. */
  end(reason: Error): void {
    this.#leaving.abort(reason);
    this.#over.abort(reason);
  }
}

/** How the work of a term ended: by itself, with an error of its own, or cut off with its term. */
export type WorkEnd = Readonly<{ kind: "Finished" | "CutOff" }> | Readonly<{ kind: "Failed"; error: unknown }>;

/** The work of a term, begun at once. */
export class TermWork {
  readonly #ended = new AbortController();
  #end: WorkEnd | undefined;

  constructor(term: OpenTerm, lead: (term: Term) => Promise<void>) {
    void this.#do(term, lead);
  }

  /** How it ended; undefined while it goes on. */
  get end(): WorkEnd | undefined {
    return this.#end;
  }

  /** Aborted once it has ended. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** Waits for its end, for so long at most and not past the signal; whether it has ended. */
  async endsWithin(waitMs: number, signal: AbortSignal): Promise<boolean> {
    await sleep(waitMs, AbortSignal.any([this.#ended.signal, signal])).catch(() => undefined);
    return this.#end !== undefined;
  }

  async #do(term: OpenTerm, lead: (term: Term) => Promise<void>): Promise<void> {
    try {
      await lead(term);
      this.#end = { kind: "Finished" };
    } catch (error) {
      this.#end = term.signal.aborted ? { kind: "CutOff" } : { kind: "Failed", error };
    }
    this.#ended.abort();
  }
}
