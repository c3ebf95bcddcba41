/** What the server's clock shows beyond the monotonic one, in milliseconds: between these. `at`: when that was known. */
type Bounds = Readonly<{ least: number; most: number; at: number }>;

/** The `Date` of an answer is cut to whole seconds. */
const granularityMs = 1_000;
/** By how much two clocks may come apart while nothing is heard: more than any that is kept by NTP. */
const driftPerMs = 0.0005;
/** So many answers in a row must say the same before what was known is given up for it. */
const convincing = 3;

/**
 * What time the API server has, by the `Date` of its answers. Objects carry that server's times, so what is compared with
 * them is asked of this clock: one machine's clock may be an hour off.
 *
 * An answer's date lies between its request and its arrival, so each one bounds the difference, and together they narrow
 * it. Where the machine's own clock is within the bounds it is believed to the millisecond; where it is not, the nearest
 * time that is. An answer that contradicts them all, as of a proxy with a clock of its own, counts once others agree.
 */
export class ServerClock {
  readonly #wall: () => number;
  readonly #monotonic: () => number;
  #known: Bounds | undefined;
  #doubt: Readonly<{ bounds: Bounds; answers: number }> | undefined;

  constructor(options: Readonly<{ wall?: () => number; monotonic?: () => number }> = {}) {
    const { wall = () => Date.now(), monotonic = () => performance.now() } = options;
    this.#wall = wall;
    this.#monotonic = monotonic;
  }

  /** Takes in the `Date` of an answer whose request was sent at that instant of the monotonic clock, or later. */
  hear(date: string | readonly string[] | undefined, sentAt: number): void {
    const time = typeof date === "string" ? Date.parse(date) : Number.NaN;
    if (Number.isNaN(time)) return;
    const at = this.#monotonic();
    const heard: Bounds = { least: time - at, most: time + granularityMs - sentAt, at };
    const narrowed = this.#known === undefined ? heard : common(this.#known, heard);
    if (narrowed !== null) {
      this.#known = narrowed;
      this.#doubt = undefined;
      return;
    }
    this.#beInDoubt(heard);
  }

  /** Milliseconds since 1970-01-01 UTC by the server; by this machine until the server has said anything. */
  now(): number {
    const wall = this.#wall();
    if (this.#known === undefined) return wall;
    const monotonic = this.#monotonic();
    const { least, most } = grown(this.#known, monotonic);
    return Math.round(Math.min(Math.max(wall, monotonic + least), monotonic + most));
  }

  /** The server's clock was set, another server answers, or this machine slept, which the monotonic clock does not count. */
  #beInDoubt(heard: Bounds): void {
    const agreed = this.#doubt === undefined ? null : common(this.#doubt.bounds, heard);
    const answers = agreed === null || this.#doubt === undefined ? 1 : this.#doubt.answers + 1;
    this.#doubt = { bounds: agreed ?? heard, answers };
    if (answers < convincing) return;
    this.#known = this.#doubt.bounds;
    this.#doubt = undefined;
  }
}

function grown({ least, most, at }: Bounds, now: number): Bounds {
  const drift = Math.max(0, now - at) * driftPerMs;
  return { least: least - drift, most: most + drift, at: now };
}

/** What both allow; null where they contradict each other. */
function common(known: Bounds, heard: Bounds): Bounds | null {
  const before = grown(known, heard.at);
  const least = Math.max(before.least, heard.least);
  const most = Math.min(before.most, heard.most);
  return least <= most ? { least, most, at: heard.at } : null;
}
