import type { Charge } from "../api/cause.ts";

/** How an attempt ended, as far as the wait before the next one depends on it. */
export type BackoffInput = Readonly<{
  charge: Charge;
  /** The attempt brought a step that no attempt before it had kept. */
  advanced: boolean;
  /** Attempts in a row that brought nothing, this one included. */
  fruitless: number;
  /** Failures since the last newly verified checkpoint, this one included. */
  failures: number;
  initialSeconds: number;
  maxSeconds: number;
  runUid: string;
  attempt: number;
}>;

/**
 * Milliseconds to wait before the next attempt: none after an end that is not the program's fault and that
 * came after new steps; otherwise doubling, less up to a quarter of jitter. A pure function of what status
 * holds, so an operator that restarts comes to the same instant.
 */
export function backoffMs(input: BackoffInput): number {
  if (input.charge !== "Failure" && input.advanced) return 0;
  const inARow = Math.max(1, input.fruitless, input.charge === "Failure" ? input.failures : 0);
  const doubled = input.initialSeconds * 2 ** Math.min(inARow - 1, 30);
  const capped = Math.min(input.maxSeconds, doubled);
  return Math.round(capped * 1000 * (1 - 0.25 * fraction(`${input.runUid}/${input.attempt}`)));
}

/** A number in [0, 1) that depends on nothing but the text (FNV-1a). */
export function fraction(text: string): number {
  let hash = 0x811c9dc5;
  for (const character of text) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  return (hash >>> 0) / 2 ** 32;
}
