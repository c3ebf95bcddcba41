import { rm } from "node:fs/promises";
import { whatIsWrong } from "../crash-grid/reader.ts";
import { makeWorkspace } from "../crash-grid/workspace.ts";
import { type Recording, writeTree } from "./changes.ts";
import { type State, type StateCount, statesOf } from "./states.ts";

/** What the states of a recording came to; `problems` names those in which a reader was fooled. */
export type Judged = Readonly<{ count: StateCount; held: number; problems: readonly string[] }>;

type Options = Readonly<{
  /** The most states of one instant. */
  atOnce: number;
  seed: number;
  /** Ends at so many problems. */
  maxProblems?: number;
  signal?: AbortSignal;
}>;

/** Puts every state into a directory of its own and lets readers look at it. */
export async function judgePowerLoss(recording: Recording, options: Options): Promise<Judged> {
  const { maxProblems = Number.POSITIVE_INFINITY, signal } = options;
  const count: StateCount = { cuts: 0, states: 0, distinct: 0, exhausted: 0 };
  const problems: string[] = [];
  let held = 0;
  for (const state of statesOf(recording, { ...options, count })) {
    signal?.throwIfAborted();
    const problem = await judge(recording, state);
    if (problem === null) held += 1;
    else problems.push(`${recording.scenario.name}, power lost after ${state.after}: ${problem}`);
    if (problems.length >= maxProblems) break;
  }
  return { count, held, problems };
}

async function judge({ scenario }: Recording, { tree, acknowledged }: State): Promise<string | null> {
  const root = await makeWorkspace("power-loss-");
  try {
    await writeTree(tree, root);
    return await whatIsWrong(root, scenario, { acknowledged });
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}
