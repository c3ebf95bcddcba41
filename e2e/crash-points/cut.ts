/** What becomes of one write, and of the operator that sends it. */
export const hows = ["Before", "After", "Lost"] as const;

/**
 * `Before`: the operator dies as it sends the write, which never arrives. `After`: the write is done, and the operator dies before it
 * hears of it. `Lost`: the write is done, the operator lives on, and its answer is lost.
 */
export type How = (typeof hows)[number];

/** Which write of a script is cut, counted from 1 over all operators, and how. */
export type Cut = Readonly<{ ordinal: number; how: How }>;

/** A write as an operator sends it: `patch trainingruns/status team-a/run-0 (metadata status)`. */
export type Write = string;

/** What a script came to, as far as no cut may change it. */
export type ScriptEnd = Readonly<Record<string, unknown>>;

/** One play of a script: what was written, whether the cut met its write, and what it came to. */
export type ScriptPlay = Readonly<{
  writes: readonly Write[];
  wasCut: boolean;
  end: ScriptEnd;
  /** Promises that were broken on the way, by the judge or by what the play could see. */
  broken: readonly string[];
}>;

/** What the cuts of one script came to. */
export type ScriptCuts = Readonly<{
  script: string;
  /** Every write of the undisturbed play. */
  writes: readonly Write[];
  plays: number;
  same: number;
  /** Every cut after which it was not the same, with what was different. */
  missed: readonly string[];
}>;

/** Every cut of so many writes. */
export function cutsOf(writes: number): Cut[] {
  return Array.from({ length: writes }, (_, index) => hows.map((how) => ({ ordinal: index + 1, how }))).flat();
}

/** Why a cut play is not as good as the undisturbed one; null where it is. */
export function differenceOf(undisturbed: ScriptPlay, cut: Cut, play: ScriptPlay): string | null {
  if (!play.wasCut) return `it never came to write ${cut.ordinal} (${undisturbed.writes[cut.ordinal - 1]})`;
  if (play.broken.length > 0) return play.broken.join("; ");
  const fields = [...new Set([...Object.keys(undisturbed.end), ...Object.keys(play.end)])];
  const differing = fields.filter((field) => textOf(undisturbed.end[field]) !== textOf(play.end[field]));
  if (differing.length === 0) return null;
  return differing
    .map((field) => `${field} is ${textOf(play.end[field])}, undisturbed ${textOf(undisturbed.end[field])}`)
    .join("; ");
}

/** Why a play was not the undisturbed one up to its cut; null where it was. */
export function strayingOf(undisturbed: ScriptPlay, { ordinal }: Cut, play: ScriptPlay): string | null {
  const strayed = undisturbed.writes.slice(0, ordinal).findIndex((write, index) => play.writes[index] !== write);
  if (strayed < 0) return null;
  return `write ${strayed + 1} was ${play.writes[strayed]}, undisturbed ${undisturbed.writes[strayed]}`;
}

function textOf(value: unknown): string {
  return JSON.stringify(value) ?? "absent";
}
