import { join } from "node:path";
import { NodeLostError, Player } from "../simulation/player.ts";
import { type Cut, cutsOf, describeCut, differenceOf, type ScriptCuts, type ScriptPlay, strayingOf } from "./cut.ts";
import type { Answer, Asked } from "./sim-worker.ts";

const worker = join(import.meta.dirname, "sim-worker.ts");

/** How scripts are cut: in so many Nodes at a time, at all of the cuts or some. */
export type CutOptions = Readonly<{ workers: number; signal?: AbortSignal; chosen?: (cut: Cut) => boolean }>;

/** Plays a script undisturbed, and then once for each cut of each write that was sent. */
export async function cutInSimulation(script: string, options: CutOptions): Promise<ScriptCuts> {
  const { workers, signal, chosen = () => true } = options;
  const players = Array.from({ length: workers }, () => new Player<Asked, Answer>(worker));
  const stop = () => {
    for (const player of players) player.kill();
  };
  signal?.addEventListener("abort", stop, { once: true });
  try {
    const [first] = players;
    if (first === undefined) throw new RangeError("Cannot play a script in no Node");
    const undisturbed = await played(first, { script, cut: null });
    if (undisturbed.broken.length > 0) {
      throw new Error(`Cannot cut the script ${script} because, undisturbed, ${undisturbed.broken.join("; ")}`);
    }
    const cuts = cutsOf(undisturbed.writes).filter(chosen);
    const left = cuts.values();
    const missed: string[] = [];
    const lane = async (player: Player<Asked, Answer>) => {
      for (const cut of left) {
        const why = await whyNotSame(player, { script, cut, undisturbed });
        signal?.throwIfAborted();
        if (why !== null) missed.push(`${describeCut(undisturbed, cut)}: ${why}`);
      }
    };
    await Promise.all(players.map(lane));
    return { script, writes: undisturbed.writes, plays: cuts.length, same: cuts.length - missed.length, missed };
  } finally {
    signal?.removeEventListener("abort", stop);
    await Promise.all(players.map((player) => player.close()));
  }
}

type Cutting = Readonly<{ script: string; cut: Cut; undisturbed: ScriptPlay }>;

async function whyNotSame(
  player: Player<Asked, Answer>,
  { script, cut, undisturbed }: Cutting,
): Promise<string | null> {
  try {
    const play = await played(player, { script, cut });
    return differenceOf(undisturbed, cut, play) ?? strayingOf(undisturbed, cut, play);
  } catch (error) {
    if (error instanceof NodeLostError || error instanceof PlayError) return error.message;
    throw error;
  }
}

class PlayError extends Error {
  override readonly name = "PlayError";
}

async function played(player: Player<Asked, Answer>, asked: Asked): Promise<ScriptPlay> {
  const answer = await player.play(asked);
  if ("error" in answer) throw new PlayError(`Cannot play the script ${asked.script}: ${answer.error}`);
  return answer;
}
