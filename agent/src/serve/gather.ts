import { setTimeout as sleep } from "node:timers/promises";
import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import type { Keeper } from "./keeper.ts";

const lookMs = 250;
/** Some of a step is there, and the grace period of whoever waits for the rest is running, perhaps. */
const soonMs = 50;

/**
 * Commits what the workers of a gang save, until `signal`. In a rhythm of its own: reading a large checkpoint back must not
 * hold up the commit of the next one, for which all the trainers wait before they end.
 */
export async function gatherShards(
  { TRAININGRUN_WORKERS: workers }: AgentEnvironment,
  { keeper, signal }: Readonly<{ keeper: Keeper; signal: AbortSignal }>,
): Promise<void> {
  if (workers === 1) return;
  while (!signal.aborted) {
    const isPartial = await keeper.gather(signal);
    await sleep(isPartial ? soonMs : lookMs, undefined, { signal }).catch(() => undefined);
  }
}
