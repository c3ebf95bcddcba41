import type { Weights } from "../trainer/weights.ts";

/** Another worker is gone, or will not be heard of in time: the step that all were at cannot be finished. */
export class PeerLostError extends Error {
  override readonly name = "PeerLostError";
}

/** What a worker brings to the end of a step. */
export type Word = Readonly<{
  /** The step that it brings to its end. */
  step: number;
  /** What it began the step with. */
  weights: Weights;
  /** Digest of the checkpoint that it resumed from. */
  base: string | null;
  /** Whether it was asked to stop. */
  stops: boolean;
  /** Whether it is a step to save at, somebody asked for a save, or saving is held up on this worker's node. */
  saving: "Due" | "AskedFor" | "NotDue" | "HeldUp";
  /** Whether a save of its own is still under way. */
  isBusy: boolean;
}>;

/** What all of them do then. */
export type Agreed = Readonly<{
  /** What each began the step with, by its number; nothing where there is but one. */
  all: readonly Weights[];
  stops: boolean;
  saves: boolean;
  /** Some save is still under way: the next one holds this step's as well. */
  isBusy: boolean;
}>;

/** The workers of an attempt as one of them has them. */
export interface Team {
  /** Waits until each has brought its word of this step. Throws {@link PeerLostError} where one of them is gone. */
  agree(word: Word): Promise<Agreed>;
}

/** A worker that trains alone. */
export const alone: Team = { agree: (word) => Promise.resolve({ ...agreedOn([word]), all: [] }) };

/** What follows from the words of all workers, in the order of their numbers. */
export function agreedOn(words: readonly [Word, ...Word[]]): Agreed {
  const [first, ...others] = words;
  const stray = others.find(({ step, base }) => step !== first.step || base !== first.base);
  if (stray !== undefined) {
    throw new PeerLostError(
      `Cannot finish step ${first.step} from ${first.base} because a worker is at ${stray.step} from ${stray.base}`,
    );
  }
  const has = (saving: Word["saving"]) => words.some((word) => word.saving === saving);
  return {
    all: words.map(({ weights }) => weights),
    stops: words.some(({ stops }) => stops),
    saves: has("AskedFor") || (has("Due") && !has("HeldUp")),
    isBusy: words.some(({ isBusy }) => isBusy),
  };
}
