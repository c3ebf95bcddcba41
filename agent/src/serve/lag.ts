/** Since when a checkpoint of that step has been verified and not mirrored. */
type Lacked = Readonly<{ step: number; at: number }>;

type Moment = Readonly<{
  /** Steps of the verified checkpoints that are newer than the newest one in the object store. */
  ahead: readonly number[];
  /** The newest step there; null for none. */
  latestStep: number | null;
  now: number;
}>;

/**
 * For how long the object store has lacked a verified checkpoint that is newer than its newest. What retention has
 * removed from the volume meanwhile was lacked all the same, so the next higher step goes on counting for it.
 */
export class Lag {
  #lacked: readonly Lacked[] = [];

  /** Takes in what is lacking at this moment; answers in the unit of `now`, 0 where nothing is. */
  at({ ahead, latestStep, now }: Moment): number {
    // The newest step there may be lacking all the same, where it was saved twice.
    const before = this.#lacked.filter(({ step }) => step > (latestStep ?? -1) || ahead.includes(step));
    const steps = ahead.toSorted((a, b) => a - b);
    this.#lacked = steps.map((step, index) => {
      const lower = steps[index - 1] ?? -1;
      const known = before.filter((one) => one.step > lower && one.step <= step);
      return { step, at: Math.min(now, ...known.map(({ at }) => at)) };
    });
    return now - Math.min(now, ...this.#lacked.map(({ at }) => at));
  }
}
