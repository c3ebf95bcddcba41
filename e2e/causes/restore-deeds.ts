import { readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { appendRecordAfter } from "@trainingrun/checkpoint/log/append.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { DirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { conditionOf, type RunView } from "../harness/run-view.ts";
import { findRunVolume, flipOneBit, type RunVolume } from "../harness/run-volume.ts";
import type { Deed, Undo } from "./row.ts";

/** Somebody empties the run's directory of checkpoints; the log still tells of them. */
export const loseCheckpoints: Deed = whileSuspended(async ({ directory }) => {
  const data = join(directory, "data");
  for (const name of await readdir(data)) if (name.startsWith("step-")) await rm(join(data, name), { recursive: true });
  return undefined;
});

/** The two newest checkpoints have a flipped bit each: as a node sees them whose memory is at fault. */
export const damageTwo: Deed = whileSuspended(async (volume, { status: { checkpoints } }) => {
  for (const checkpoint of checkpoints.slice(0, 2)) await flipOneBit(volume, checkpoint);
  return undefined;
});

/** Where the run's directory was there is a file: a volume that cannot be used. */
export const spoilVolume: Deed = whileSuspended(async ({ directory }) => {
  const away = `${directory}.away`;
  await rename(directory, away);
  await writeFile(directory, "");
  return async () => {
    await rm(directory);
    await rename(away, directory);
  };
});

/** So far above the run's own attempts that the next of them finds itself shut out. */
const strangersAttempt = 7;

/** A pod that nobody knows of opens the log under a higher number, as one of an operator whose status was set back. */
export const openBeyond: Deed = whileSuspended(async ({ directory }, { metadata: { uid } }) => {
  const store = new DirectoryStore(directory, uid);
  const { state } = await readLog(store);
  const opening = { kind: "open", attempt: strangersAttempt, podUid: "stranger", node: "elsewhere" } as const;
  const base = state.checkpoints.at(-1)?.digest ?? null;
  const outcome = await appendRecordAfter(store, { ...opening, base, generation: 1 }, { after: state.last });
  if (outcome.kind !== "appended") throw new Error(`Cannot open attempt ${strangersAttempt}: ${outcome.kind}`);
  return undefined;
});

/** Stops the run, does something to its volume, and lets it go on. */
function whileSuspended(act: (volume: RunVolume, stopped: RunView) => Promise<Undo | undefined>): Deed {
  return async ({ installation, access, signal }) => {
    await access.patchSpec({ suspend: true });
    const stopped = await access.waitFor("the run to be suspended", signal, isSuspended);
    const undo = await act(await findRunVolume(installation.api, stopped), stopped);
    await access.patchSpec({ suspend: false });
    return undo;
  };
}

function isSuspended(run: RunView): boolean {
  return conditionOf(run, "Suspended")?.status === "True";
}
