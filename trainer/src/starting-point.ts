import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import type { Expected } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { Restored } from "@trainingrun/checkpoint/contract/restored.ts";
import { AgentRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { restoreRun } from "@trainingrun/checkpoint/restore.ts";
import { openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import type { Store } from "@trainingrun/checkpoint/store/store.ts";
import type { z } from "zod";
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

/** Null while it is not there; what another attempt left counts as not there. */
export function readRestored(place: PodPlace): Promise<Restored | null> {
  return readControl(place, controlFiles.restored, Restored);
}

async function readControl<Content extends { readonly attempt: number }>(
  { control, attempt }: PodPlace,
  name: string,
  schema: z.ZodType<Content>,
): Promise<Content | null> {
  try {
    const parsed = schema.safeParse(JSON.parse(await readFile(join(control, name), "utf8")));
    return parsed.success && parsed.data.attempt === attempt ? parsed.data : null;
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** Nothing is on record outside the log: at hand there is no operator. */
const nothingRecorded: Expected = {
  latestVerified: null,
  recorded: [],
  refused: [],
  base: null,
  noneVerified: "Fail",
  unhealthy: "Skip",
  environmentMismatch: "Ignore",
};

async function restoreAtHand(place: LocalPlace, signal: AbortSignal): Promise<StartingPoint> {
  const store = await openDirectoryStore(place.checkpoints, { runUid: place.runUid });
  const { state } = await readLog(store, { signal });
  const attempt = (state.opened?.attempt ?? 0) + 1;
  const outcome = await restoreRun(store, {
    runUid: place.runUid,
    attempt,
    podUid: `process-${process.pid}-${Date.now()}`,
    node: hostname(),
    generation: 1,
    expected: nothingRecorded,
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
