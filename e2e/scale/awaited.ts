import { setTimeout as delay } from "node:timers/promises";

/** Objects whose pod is to run, and how long each took. */
export class Awaited {
  readonly #left = new Map<string, Readonly<{ since: number; former: string | undefined }>>();
  readonly #begunAt = performance.now();
  readonly #seconds: number[] = [];
  #endedAt = Number.NaN;

  /** From now on a pod of the object is waited for; `former` is the uid of one that does not count. */
  expect(name: string, former?: string): void {
    this.#left.set(name, { since: performance.now(), former });
  }

  /** A pod of the object runs. */
  runs(name: string, uid: string): void {
    const awaited = this.#left.get(name);
    if (awaited === undefined || awaited.former === uid) return;
    this.#left.delete(name);
    this.#endedAt = performance.now();
    this.#seconds.push((this.#endedAt - awaited.since) / 1000);
  }

  /** Seconds of each, in the order in which they came to run. */
  get each(): readonly number[] {
    return this.#seconds;
  }

  /** Seconds from the beginning until the last one ran. */
  get all(): number {
    return (this.#endedAt - this.#begunAt) / 1000;
  }

  /** Resolves when none is left. @throws naming how many are, when the time is up. */
  async ended(limitMs: number, signal: AbortSignal): Promise<void> {
    const endsAt = performance.now() + limitMs;
    while (this.#left.size > 0) {
      if (performance.now() > endsAt) {
        const [first] = this.#left.keys();
        throw new Error(`Cannot go on: ${this.#left.size} have no running pod after ${limitMs} ms, such as ${first}`);
      }
      await delay(20, undefined, { signal });
    }
  }
}
