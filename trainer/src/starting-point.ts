import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import { nothingExpected } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { Restored } from "@trainingrun/checkpoint/contract/restored.ts";
import { AgentRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { restoreRun } from "@trainingrun/checkpoint/restore.ts";
import { openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import type { Store } from "@trainingrun/checkpoint/store/store.ts";
import { z } from "zod";
import type { LocalPlace, Place, PodPlace } from "./place.ts";
import { say } from "./say.ts";

/** Where training begins: from a verified checkpoint, or at step 0. The attempt is open in the log. */
export type StartingPoint = {
  readonly store: Store;
  readonly attempt: number;
  readonly resume: { readonly step: number; readonly digest: Digest; readonly directory: string } | null;
};

/** No starting point could be had; nothing was trained. */
export class StartError extends Error {
  override name = "StartError";
}

/** Much longer than any restore takes: the operator ends the attempt long before. */
const maxWaitMs = 6 * 3600 * 1000;
const pollMs = 20;

/** Waits for the agent's restore in a pod; restores by itself at hand. Rejects with the signal's reason on a stop. */
export async function findStartingPoint(place: Place, signal: AbortSignal): Promise<StartingPoint> {
  return place.kind === "pod" ? waitForRestore(place, signal) : restoreAtHand(place, signal);
}

async function waitForRestore(place: PodPlace, signal: AbortSignal): Promise<StartingPoint> {
  const open = () => openDirectoryStore(place.checkpoints, { runUid: place.runUid });
  // Opened while the restore is at work. A volume that fails until then is the restore's to judge, not a crash.
  const early = open().catch(() => null);
  const deadline = performance.now() + maxWaitMs;
  for (let polls = 0; ; polls += 1) {
    const restored = await readRestored(place);
    if (restored !== null) {
      const { resume } = restored;
      return { store: (await early) ?? (await open()), attempt: place.attempt, resume };
    }
    const verdict = await readControl(place, controlFiles.restoreFailed, AgentRecord);
    if (verdict?.kind === "restore-failed") {
      throw new StartError(
        `Cannot start training because the restore must hand over first: ${verdict.failure}: ${verdict.message}`,
      );
    }
    if (polls === 0) say("waiting for the restore");
    if (performance.now() > deadline) {
      throw new StartError(
        `Cannot start training because ${join(place.control, controlFiles.restored)} must appear within 6 hours: ` +
          "look at the log of the container agent.",
      );
    }
    await sleep(pollMs, undefined, { signal });
  }
}

/** What the restore has handed over so far, for a process that ends before it begins; null where that is nothing. */
export async function restoredSoFar(place: PodPlace): Promise<Restored["resume"]> {
  try {
    return (await readRestored(place))?.resume ?? null;
  } catch {
    return null;
  }
}

/** Null while it is not there; what another attempt left counts as not there. */
function readRestored(place: PodPlace): Promise<Restored | null> {
  return readControl(place, controlFiles.restored, Restored);
}

const Heading = z.object({ version: z.unknown().optional(), attempt: z.unknown().optional() });

/**
 * Files appear here whole, so one of this attempt that is not what is read here will never become it: the agent is of
 * another release.
 *
 * @throws {StartError} with what it says instead.
 */
async function readControl<Content extends { readonly attempt: number }>(
  { control, attempt }: PodPlace,
  name: string,
  schema: z.ZodType<Content>,
): Promise<Content | null> {
  const content = await readJson(join(control, name));
  const heading = Heading.safeParse(content);
  if (!heading.success) return null;
  const { version, attempt: whose } = heading.data;
  if (typeof whose === "number" && whose !== attempt) return null;
  const parsed = schema.safeParse(content);
  if (parsed.success) return parsed.data;
  throw new StartError(
    `Cannot start training because ${join(control, name)} must be one that this trainer can read: it is of version ` +
      `${JSON.stringify(version) ?? "unknown"} (${z.prettifyError(parsed.error).replaceAll("\n", " ").slice(0, 300)}). ` +
      "The agent is of another release: build the trainer's image with the release of the operator.",
  );
}

/** Null where there is no such file, or one that is no JSON. */
async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

async function restoreAtHand(place: LocalPlace, signal: AbortSignal): Promise<StartingPoint> {
  const store = await openDirectoryStore(place.checkpoints, { runUid: place.runUid });
  const { state } = await readLog(store, { signal });
  // Above one whose open is damaged as well: nothing may come from its number any more.
  const attempt = (state.fence?.attempt ?? 0) + 1;
  const outcome = await restoreRun(store, {
    runUid: place.runUid,
    attempt,
    podUid: `process-${process.pid}-${Date.now()}`,
    node: hostname(),
    generation: 1,
    expected: nothingExpected,
    // Nobody else's node writes there: what is missing from a person's own directory was taken away.
    visibleWithinMs: 0,
    signal,
  });
  if (outcome.kind === "failed") {
    throw new StartError(`Cannot start training from ${place.checkpoints}: ${outcome.failure}: ${outcome.message}`);
  }
  for (const refused of outcome.restored.refused) {
    console.error(`Refused the checkpoint of step ${refused.step}: ${refused.reason}: ${refused.message}`);
  }
  return { store, attempt, resume: outcome.restored.resume };
}
