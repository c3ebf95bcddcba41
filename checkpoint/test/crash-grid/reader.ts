import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { candidates } from "../../src/candidates.ts";
import { readLog } from "../../src/log/read.ts";
import type { RunState } from "../../src/log/state.ts";
import { openDirectoryStore } from "../../src/store/directory-store.ts";
import { verifyCheckpoint } from "../../src/verify.ts";
import { restoreAttempt, runUid, saveStep } from "./operations.ts";
import type { Scenario } from "./scenarios.ts";

/**
 * What a reader finds in a directory that a scenario's process left: null where it is the previous state or the new one,
 * whole; else what is wrong, in words. It is read by the next process of the same pod where there is one, then by the next
 * attempt, and then it must take a save.
 */
export async function whatIsWrong(
  root: string,
  scenario: Scenario,
  { acknowledged }: { acknowledged: boolean },
): Promise<string | null> {
  const beside = (await scenario.beside?.(root)) ?? null;
  if (beside !== null) return beside;
  const state = (await readLog(await openDirectoryStore(root, { runUid }))).state;
  if (state.damaged.length > 0) return `records ${state.damaged.join(", ")} are damaged`;
  const broken = acknowledged ? scenario.acknowledged(state) : null;
  if (broken !== null) return broken;
  const undecided = acknowledged ? [] : (scenario.mended ?? []);
  const sure = { ...state, checkpoints: state.checkpoints.filter(({ step }) => !undecided.includes(step)) };
  return (await brokenCandidate(root, scenario, sure)) ?? (await brokenResume(root, scenario, { acknowledged }));
}

/** What a log offers has to be there, whole: no scenario damages anything (I3, I6). */
async function brokenCandidate(root: string, { damaged }: Scenario, state: RunState): Promise<string | null> {
  const store = await openDirectoryStore(root, { runUid });
  for (const { digest, directory, step } of candidates(state, { base: null, refused: [] })) {
    const verdict = await verifyCheckpoint(store, { digest, directory });
    if (verdict.ok === damaged.includes(step)) return `step ${step} is a candidate: ${JSON.stringify(verdict)}`;
  }
  return null;
}

async function brokenResume(
  root: string,
  { resumes, told = () => ({}) }: Scenario,
  { acknowledged }: { acknowledged: boolean },
): Promise<string | null> {
  const allowed = acknowledged ? resumes.after : resumes.before;
  for (const attempt of [2, 3]) {
    const outcome = await restoreAttempt(root, attempt, told(root));
    if (outcome.kind === "failed") return `attempt ${attempt} cannot start: ${outcome.message}`;
    const step = outcome.restored.resume?.step ?? 0;
    if (!allowed.includes(step)) return `attempt ${attempt} resumes from step ${step}: ${allowed.join(" or ")} allowed`;
  }
  // A probe that was cut off says nothing of any checkpoint, and goes after an hour.
  const left = (await readdir(join(root, "data"))).filter(
    (name) => name.startsWith(".") && !name.startsWith(".probe-"),
  );
  if (left.length > 0) return `a restore left ${left.join(", ")}`;
  await saveStep(root, { step: 50, attempt: 3 });
  const next = await restoreAttempt(root, 4, told(root));
  if (next.kind === "failed") return `no attempt can start after the next save: ${next.message}`;
  return next.restored.resume?.step === 50 ? null : `the next save is not found: step ${next.restored.resume?.step}`;
}
