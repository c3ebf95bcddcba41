import { join } from "node:path";
import type { Plan } from "./plan/draw.ts";
import { NodeLostError, Player } from "./player.ts";
import { type Play, type Shrunk, shrink } from "./shrink.ts";
import type { Answer, Asked } from "./worker.ts";

/** Shrinks a plan by plays in a Node of their own, so that one that hangs or throws is a broken promise like any other. */
export async function shrinkInNode(
  plan: Plan,
  { mostPlays, told }: { mostPlays: number; told: (line: string) => void },
): Promise<Shrunk | null> {
  const player = new Player<Asked, Answer>(join(import.meta.dirname, "worker.ts"));
  const play: Play = async (tried) => {
    const { faults, scenario } = tried;
    const violations = await violationsOf(player, tried);
    const checks = [...new Set(violations.map(({ check }) => check))].join(" ");
    told(`${faults.length} faults, ${scenario.runs.length} runs: ${checks === "" ? "kept" : checks}`);
    return { violations };
  };
  try {
    return await shrink(plan, play, { mostPlays });
  } finally {
    await player.close();
  }
}

async function violationsOf(player: Player<Asked, Answer>, plan: Plan) {
  const failed = (check: string, what: string) => [{ check, guards: "", atMs: 0, what }];
  try {
    const answer = await player.play({ seed: plan.seed, isCalm: false, plan });
    if ("error" in answer) return failed("Throws", answer.error);
    return answer.judgement.violations;
  } catch (error) {
    if (error instanceof NodeLostError) return failed("Hangs", error.message);
    throw error;
  }
}
