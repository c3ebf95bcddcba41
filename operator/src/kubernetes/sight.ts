import { atLeastAsNew } from "./kube-object.ts";

/** A state of the server older than one already seen. */
export class StaleServerError extends Error {
  override readonly name = "StaleServerError";
}

/** The server's history is not the one that was seen: it was set back, or what was seen never came from it. */
export class ReplacedHistoryError extends Error {
  override readonly name = "ReplacedHistoryError";
}

/**
 * How much of the server's state a reflector has seen, and up to when. Instants are of the monotonic clock.
 *
 * A version never goes back while the server may only lag. But lists are asked of the server's newest state, so one
 * that lags catches up within moments; where it shows older states for longer, it was set back (from a backup), or
 * a version that never was has come over the wire. Then its state is taken as it is.
 *
 *              a newer state                       for doubtMs nothing but older states
 *   ┌─────────┐ ◄──────── ┌──────────┐ ───────────────────────────────────► a list is taken in
 *   │ Certain │           │ Doubting │                                      as another history,
 *   └─────────┘ ────────► └──────────┘                                      and it is Certain again
 *             an older state
 */
export class Sight {
  readonly #doubtMs: number;
  #version: string | undefined;
  #completeAt: number;
  #listedAt = Number.NEGATIVE_INFINITY;
  #lostAt: number | undefined;
  #doubtedAt: number | undefined;

  constructor(doubtMs: number) {
    this.#doubtMs = doubtMs;
    this.#completeAt = performance.now();
    this.#lostAt = this.#completeAt;
  }

  /** The version of the server's state up to which the cache is complete. */
  get version(): string | undefined {
    return this.#version;
  }

  /** The cache holds all that was written before this instant. Before the first list: since when one is awaited. */
  get completeAt(): number {
    return this.#completeAt;
  }

  /** Since when no watch has been open; undefined while one is. */
  get lostAt(): number | undefined {
    return this.#lostAt;
  }

  /** For how long the cache may have missed something: the one number that says how blind it is. */
  get blindForMs(): number {
    return performance.now() - this.#completeAt;
  }

  /** How much longer older states are refused; undefined without a doubt. */
  get doubtLeftMs(): number | undefined {
    if (this.#doubtedAt === undefined) return undefined;
    return Math.max(0, this.#doubtedAt + this.#doubtMs - performance.now());
  }

  /** Whether the cache holds what a write did that was answered with this version, at that instant. */
  hasSeen(version: string, writtenAt: number): boolean {
    // A list asked for later holds it, even where the version belongs to a history that is no more.
    if (this.#listedAt > writtenAt) return true;
    return this.#version !== undefined && atLeastAsNew(this.#version, version);
  }

  /** A watch was opened. */
  open(): void {
    this.#lostAt = undefined;
  }

  /** No watch is open any more. */
  lose(): void {
    this.#lostAt ??= performance.now();
  }

  /** An event or a bookmark came over an open watch. An older one is refused. */
  advance(version: string): void {
    this.compare(version);
    this.#version = version;
    this.#completeAt = performance.now();
  }

  /** The server says that this is its version now. An older one is refused. */
  compare(version: string): void {
    if (this.#isOlder(version)) throw this.#doubt(version);
    this.#doubtedAt = undefined;
  }

  /** Nothing was missed up to an instant: the server ended a watch as agreed. */
  confirm(at: number): void {
    this.#completeAt = Math.max(this.#completeAt, at);
  }

  /**
   * A whole list was read that was asked for at an instant. One older than what was seen is refused until the doubt
   * is over; then the error says what happened, and the list is to be taken in as another history.
   */
  list(version: string, askedAt: number): ReplacedHistoryError | undefined {
    const replaced = this.#isOlder(version) ? this.#judge(version) : undefined;
    this.#version = version;
    this.#doubtedAt = undefined;
    this.#listedAt = askedAt;
    this.#completeAt = Math.max(this.#completeAt, askedAt);
    return replaced;
  }

  #isOlder(version: string): boolean {
    return this.#version !== undefined && !atLeastAsNew(version, this.#version);
  }

  #judge(version: string): ReplacedHistoryError {
    if (this.doubtLeftMs !== 0) throw this.#doubt(version);
    return new ReplacedHistoryError(
      `Cannot go on from version ${this.#version} because the server has shown only older ones for ${this.#doubtMs} ms; its state is taken as it is, of version ${version}`,
    );
  }

  #doubt(version: string): StaleServerError {
    this.#doubtedAt ??= performance.now();
    return new StaleServerError(
      `Cannot take in a state of version ${version} because a newer one was seen already: ${this.#version}`,
    );
  }
}
