/** What becomes of one write, and of the process that sends it. */
export const hows = ["Before", "After", "Lost"] as const;

/**
 * `Before`: the process dies as it sends the write, which never arrives. `After`: the write is done, and the process dies before
 * it hears of it. `Lost`: the write is done, the process lives on, and its answer is lost.
 */
export type How = (typeof hows)[number];

/** Which write of a script is cut, counted from 1 over all that send them, and how. */
export type Cut = Readonly<{ ordinal: number; how: How }>;

/** A write as it is sent. */
export type Write = Readonly<{
  /** Without what is drawn: `patch trainingruns/status team-a/run-0 (metadata status)`. */
  words: string;
  /** What it is counted as: `patch trainingruns/status`. */
  kind: string;
  /** Whether an answer comes back from somewhere else, so that it can be lost. A system call has none. */
  isAnswered: boolean;
}>;

/** What a script came to, as far as no cut may change it. */
export type ScriptEnd = Readonly<Record<string, unknown>>;

/** One play of a script: what was written, whether the cut met its write, and what it came to. */
export type ScriptPlay = Readonly<{
  writes: readonly Write[];
  wasCut: boolean;
  /** How many attempts of the run have ended. */
  attempts: number;
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

/** Every cut of these writes. */
export function cutsOf(writes: readonly Write[]): Cut[] {
  return writes.flatMap(({ isAnswered }, index) =>
    hows.filter((how) => isAnswered || how !== "Lost").map((how) => ({ ordinal: index + 1, how })),
  );
}

/**
 * Why a cut play is not as good as the undisturbed one; null where it is. A process that dies may cost an attempt, unless
 * the end has the number of attempts in it.
 */
export function differenceOf(undisturbed: ScriptPlay, cut: Cut, play: ScriptPlay): string | null {
  if (!play.wasCut) return `it never came to write ${wordsOf(undisturbed, cut)}`;
  if (play.broken.length > 0) return play.broken.join("; ");
  const more = play.attempts - undisturbed.attempts;
  if (more > (cut.how === "Lost" ? 0 : 1)) return `it took ${more} attempts more than the ${undisturbed.attempts}`;
  const fields = [...new Set([...Object.keys(undisturbed.end), ...Object.keys(play.end)])];
  const differing = fields.filter((field) => textOf(undisturbed.end[field]) !== textOf(play.end[field]));
  if (differing.length === 0) return null;
  return differing
    .map((field) => `${field} is ${textOf(play.end[field])}, undisturbed ${textOf(undisturbed.end[field])}`)
    .join("; ");
}

/** Why a play was not the undisturbed one up to its cut; null where it was. */
export function strayingOf(undisturbed: ScriptPlay, { ordinal }: Cut, play: ScriptPlay): string | null {
  const expected = undisturbed.writes.slice(0, ordinal);
  const strayed = expected.findIndex(({ words }, index) => play.writes[index]?.words !== words);
  if (strayed < 0) return null;
  return `write ${strayed + 1} was ${play.writes[strayed]?.words}, undisturbed ${expected[strayed]?.words}`;
}

/** A cut in words: `After 7 (create pods team-a/run-0-1-0)`. */
export function describeCut(undisturbed: ScriptPlay, cut: Cut): string {
  return `${cut.how} ${wordsOf(undisturbed, cut)}`;
}

function wordsOf({ writes }: ScriptPlay, { ordinal }: Cut): string {
  return `${ordinal} (${writes[ordinal - 1]?.words})`;
}

function textOf(value: unknown): string {
  return JSON.stringify(value) ?? "absent";
}
