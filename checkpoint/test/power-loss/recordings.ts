import { join } from "node:path";
import { scenarioNamed, scenarios } from "../crash-grid/scenarios.ts";
import { type Change, type Recording, recordAfter, recordChanges } from "./changes.ts";

/** Every scenario of files and directories, and a restore that finds what a killed save had named and not yet synced. */
export async function recordAll(workspace: string): Promise<Recording[]> {
  const recordings: Recording[] = [];
  // The names for people are symbolic links, which the model has not: no reader of ours follows them.
  const modelled = scenarios.filter(({ name }) => name !== "names");
  for (const scenario of modelled) recordings.push(await recordChanges(scenario, join(workspace, scenario.name)));
  return [...recordings, await recordAdoption(workspace)];
}

/** A save is killed between the last rename of its directory and the sync of that name; a restore adopts what it left. */
export async function recordAdoption(workspace: string): Promise<Recording> {
  const killed = await recordChanges(scenarioNamed("save"), join(workspace, "killed"));
  // Until the restore is done, what was never acknowledged may be lost.
  const scenario = { ...scenarioNamed("restore"), resumes: { before: [20, 30], after: [30] } };
  const last = (change: Change) => change.kind === "rename" && change.to.startsWith("data/step-");
  const recording = await recordAfter(killed, { last, scenario, workspace: join(workspace, "adopting") });
  return { ...recording, scenario: { ...scenario, name: "adoption" } };
}
