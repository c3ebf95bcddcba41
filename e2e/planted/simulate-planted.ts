import { join } from "node:path";
import { NodeLostError, Player } from "../simulation/player.ts";
import type { Answer, Asked } from "../simulation/worker.ts";
import { plantedEnvironment, root } from "./planted-sources.ts";

/** So many seeds are tried with a mistake at most, and for so long. */
const mostSeeds = 150;
const longestMs = 45_000;
const worker = join(root, "e2e/simulation/worker.ts");

/** What the simulation made of a mistake: the check that a seed broke first, or none of so many seeds. */
export type Simulated = Readonly<{ check: string | null; seeds: number }>;

/** Plays the first seeds with the code as it is. Those that break something show nothing about a mistake. */
export async function unsoundSeeds(signal: AbortSignal): Promise<ReadonlySet<number>> {
  const unsound = new Set<number>();
  await eachSeed({}, signal, (answer) => {
    if (brokenBy(answer) !== null) unsound.add(answer.asked.seed);
    return "GoOn";
  });
  return unsound;
}

/** Plays the first seeds with a mistake in the code, until one breaks something that it does not break without it. */
export async function simulate(
  patch: string,
  { unsound, signal }: { unsound: ReadonlySet<number>; signal: AbortSignal },
): Promise<Simulated> {
  let check: string | null = null;
  const seeds = await eachSeed(plantedEnvironment(patch), signal, (answer) => {
    if (!unsound.has(answer.asked.seed)) check = brokenBy(answer);
    return check === null ? "GoOn" : "Stop";
  });
  return { check, seeds };
}

/** Plays seed after seed in one Node; returns how many. */
async function eachSeed(
  environment: Readonly<Record<string, string>>,
  signal: AbortSignal,
  take: (answer: Answer) => "GoOn" | "Stop",
): Promise<number> {
  const player = new Player<Asked, Answer>(worker, environment);
  const endsAt = performance.now() + longestMs;
  try {
    for (let seed = 1; ; seed += 1) {
      signal.throwIfAborted();
      const asked = { seed, isCalm: false };
      const answer = await player.play(asked).catch((error: unknown) => lostPlay(asked, error));
      if (take(answer) === "Stop" || seed === mostSeeds || performance.now() > endsAt) return seed;
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
