import { join } from "node:path";
import { NodeLostError, Player } from "../simulation/player.ts";
import type { Answer, Asked } from "../simulation/worker.ts";
import { plantedEnvironment, root } from "./planted-sources.ts";

/** So many seeds are tried with a mistake at most, and for so long. */
const mostSeeds = 150;
const longestMs = 45_000;
/** Without one all of them are played, unless something is very wrong. */
const longestSoundMs = 10 * 60_000;
const worker = join(root, "e2e/simulation/worker.ts");

/** What the simulation made of a mistake: the check that a seed broke first, or none of so many seeds. */
export type Simulated = Readonly<{ check: string | null; seeds: number }>;

/** How many of the first seeds were played with the code as it is, and which of them broke something all the same. */
export type SoundSeeds = Readonly<{ played: number; unsound: ReadonlySet<number> }>;

/** Plays the first seeds with the code as it is. Those that break something show nothing about a mistake. */
export async function soundSeeds(signal: AbortSignal): Promise<SoundSeeds> {
  const unsound = new Set<number>();
  const played = await eachSeed({ most: mostSeeds, longestMs: longestSoundMs, environment: {}, signal }, (answer) => {
    if (brokenBy(answer) !== null) unsound.add(answer.asked.seed);
    return "GoOn";
  });
  return { played, unsound };
}

/**
 * Plays the first seeds with a mistake in the code, until one breaks something that it does not break without it; none of
 * which that is not known.
 */
export async function simulate(
  patch: string,
  { sound: { played, unsound }, signal }: Readonly<{ sound: SoundSeeds; signal: AbortSignal }>,
): Promise<Simulated> {
  let check: string | null = null;
  const environment = plantedEnvironment(patch);
  const seeds = await eachSeed({ most: played, longestMs, environment, signal }, (answer) => {
    if (!unsound.has(answer.asked.seed)) check = brokenBy(answer);
    return check === null ? "GoOn" : "Stop";
  });
  return { check, seeds };
}

type Seeds = Readonly<{
  most: number;
  longestMs: number;
  environment: Readonly<Record<string, string>>;
  signal: AbortSignal;
}>;

/** Plays seed after seed in one Node; returns how many. */
async function eachSeed(
  { most, longestMs, environment, signal }: Seeds,
  take: (answer: Answer) => "GoOn" | "Stop",
): Promise<number> {
  const player = new Player<Asked, Answer>(worker, environment);
  const endsAt = performance.now() + longestMs;
  try {
    for (let seed = 1; ; seed += 1) {
      signal.throwIfAborted();
      const asked = { seed, isCalm: false };
      const answer = await player.play(asked).catch((error: unknown) => lostPlay(asked, error));
      if (take(answer) === "Stop" || seed === most || performance.now() > endsAt) return seed;
    }
  } finally {
    await player.close();
  }
}

function lostPlay(asked: Asked, error: unknown): Answer {
  if (!(error instanceof NodeLostError)) throw error;
  return { asked, cpuMs: 0, error: "the play did not end" };
}

function brokenBy(answer: Answer): string | null {
  if ("error" in answer) return "the play did not end";
  return answer.judgement.violations[0]?.check ?? null;
}
