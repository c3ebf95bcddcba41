import type { Saver } from "@trainingrun/trainer/saver.ts";
import { median } from "./result.ts";
import type { StallTraining } from "./save-stall.ts";

/** Over how many steps a save extends, once everything is warm. */
export class Settling {
  readonly #saver: Saver;
  readonly #steps: number[] = [];
  #inFlight = 0;

  constructor(saver: Saver) {
    this.#saver = saver;
  }

  readonly onStep = (): void => {
    if (this.#saver.inFlight !== null) this.#inFlight += 1;
    else if (this.#inFlight > 0) {
      this.#steps.push(this.#inFlight);
      this.#inFlight = 0;
    }
  };

  /** The usual one: an interval after a single slow fsync would be one in which saves cost too little to be seen. */
  stepsPerSave(): number {
    const warm = this.#steps.slice(1);
    return Math.max(2, warm.length === 0 ? 0 : Math.ceil(median(warm)));
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
