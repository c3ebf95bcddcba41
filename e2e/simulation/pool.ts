import { join } from "node:path";
import { NodeLostError, Player } from "./player.ts";
import type { Answer, Asked } from "./worker.ts";

const worker = join(import.meta.dirname, "worker.ts");

/** Plays in Nodes of their own: how many at a time, and who is told of each answer, with the number of the Node's lane. */
export type PoolOptions = Readonly<{
  workers: number;
  told?: (answer: Answer, lane: number) => void;
  /** Ends everything where it stands. */
  signal?: AbortSignal;
}>;

/** Plays all that is asked for, as many at a time, each Node with the next one as soon as it is free. */
export async function playMany(asked: Iterable<Asked>, options: PoolOptions): Promise<readonly Answer[]> {
  const left = [...asked];
  const answers: Answer[] = [];
  const { told = () => undefined } = options;
  await playAlong(() => left.shift(), {
    ...options,
    told: (answer, lane) => {
      answers.push(answer);
      told(answer, lane);
    },
  });
  return answers.toSorted((a, b) => a.asked.seed - b.asked.seed);
}

/** Plays whatever is next for each lane, until there is nothing more for any of them. A lane is one Node after the other. */
export async function playAlong(
  next: (lane: number) => Asked | undefined,
  { workers, told = () => undefined, signal }: PoolOptions,
): Promise<void> {
  await Promise.all(
    Array.from({ length: workers }, async (_, lane) => {
      const player = new Player<Asked, Answer>(worker);
      const stop = () => void player.kill();
      signal?.addEventListener("abort", stop, { once: true });
      try {
        for (let asked = next(lane); asked !== undefined; asked = next(lane)) {
          const answer = await answerOf(player, asked);
          signal?.throwIfAborted();
          told(answer, lane);
        }
      } finally {
        signal?.removeEventListener("abort", stop);
        await player.close();
      }
    }),
  );
}

/** A play that hangs, or ends its Node, is told like any other failure. */
async function answerOf(player: Player<Asked, Answer>, asked: Asked): Promise<Answer> {
  const began = performance.now();
  try {
    return await player.play(asked);
  } catch (error) {
    if (!(error instanceof NodeLostError)) throw error;
    return {
      asked,
      cpuMs: performance.now() - began,
      error: `Cannot end the play of seed ${asked.seed}: ${error.message}`,
    };
  }
}
