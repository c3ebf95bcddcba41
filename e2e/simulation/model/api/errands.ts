import { Refusal } from "./answers.ts";
import type { Defer } from "./watch.ts";

/** How the controllers of a simulation take their time. */
export type ControllerOptions = Readonly<{
  defer: Defer;
  /** How long it takes a controller to see what happened and to act on it. */
  delayMs: () => number;
}>;

/** Something a controller looks into by and by: at most once at a time for each key, and again where it is refused. */
export class Errands {
  readonly #options: ControllerOptions;
  readonly #run: (key: string) => void;
  readonly #asked = new Map<string, { tries: number }>();

  constructor(options: ControllerOptions, run: (key: string) => void) {
    this.#options = options;
    this.#run = run;
  }

  /** Has a key looked into soon. */
  ask(key: string): void {
    if (this.#asked.has(key)) return;
    this.#asked.set(key, { tries: 0 });
    this.#options.defer(this.#options.delayMs(), () => this.#go(key), "work");
  }

  #go(key: string): void {
    const { tries } = this.#asked.get(key) ?? { tries: 0 };
    this.#asked.delete(key);
    try {
      this.#run(key);
    } catch (error) {
      // Whatever refuses it now, such as a webhook that is away, may let it pass later.
      if (!(error instanceof Refusal)) throw error;
      this.#asked.set(key, { tries: tries + 1 });
      this.#options.defer(Math.min(firstRetryMs * 2 ** tries, longestRetryMs), () => this.#go(key), "work");
    }
  }
}

const firstRetryMs = 100;
const longestRetryMs = 60_000;
