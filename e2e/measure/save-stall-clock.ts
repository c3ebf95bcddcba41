import type { Saver } from "@trainingrun/trainer/saver.ts";
import { median } from "./result.ts";
import type { StallTraining } from "./save-stall.ts";

/** No interval is shorter than so many steps, of which a save extends over two at least. */
const leastIntervalSteps = 20;

/** How long a step takes, and how long a save: what an interval is made of. */
export class Settling {
  readonly #saver: Saver;
  readonly #stepMs: number[] = [];
  readonly #saveMs: number[] = [];
  #before = performance.now();
  #committed: number;

  constructor(saver: Saver) {
    this.#saver = saver;
    this.#committed = saver.counts.committed;
  }

  readonly onStep = (): void => {
    const now = performance.now();
    this.#stepMs.push(now - this.#before);
    this.#before = now;
    const { committed, lastSeconds } = this.#saver.counts;
    if (committed > this.#committed) this.#saveMs.push(lastSeconds * 1000);
    this.#committed = committed;
  };

  /** The usual one. */
  get stepMs(): number {
    return median(this.#stepMs);
  }

  /**
   * How many steps an interval has of which a save takes a tenth. The usual save: after a single slow fsync saves would
   * be so rare that what they cost could not be seen.
   */
  intervalSteps(): number {
    const warm = this.#saveMs.slice(1);
    if (warm.length === 0) throw new Error("Cannot tell how long a save takes because none was committed");
    return Math.max(leastIntervalSteps, Math.ceil((10 * median(warm)) / this.stepMs));
  }
}

/** Milliseconds from step to step, by round: the first half of each has a save. */
export class StepClock {
  readonly #saver: Saver;
  readonly #warmUp: number;
  readonly #intervalSteps: number;
  readonly #rounds: { saving: number[]; plain: number[] }[] = [];
  readonly #saveSeconds: number[] = [];
  #before = performance.now();
  #committed: number;
  #overran = 0;

  constructor(saver: Saver, { warmUp, intervalSteps }: { warmUp: number; intervalSteps: number }) {
    this.#saver = saver;
    this.#warmUp = warmUp;
    this.#intervalSteps = intervalSteps;
    this.#committed = saver.counts.committed;
  }

  get figures(): Pick<StallTraining, "rounds" | "saveSeconds" | "overran"> {
    return { rounds: this.#rounds, saveSeconds: this.#saveSeconds, overran: this.#overran };
  }

  readonly onStep = (step: number): void => {
    const now = performance.now();
    const took = now - this.#before;
    this.#before = now;
    const { committed, lastSeconds } = this.#saver.counts;
    const at = step - this.#warmUp - 1;
    if (at >= 0) {
      const round = Math.floor(at / (2 * this.#intervalSteps));
      this.#rounds[round] ??= { saving: [], plain: [] };
      const inRound = at % (2 * this.#intervalSteps);
      this.#rounds[round]?.[inRound < this.#intervalSteps ? "saving" : "plain"].push(took);
      if (committed > this.#committed) this.#saveSeconds.push(lastSeconds);
      if (inRound === this.#intervalSteps && this.#saver.inFlight !== null) this.#overran += 1;
    }
    this.#committed = committed;
  };
}
