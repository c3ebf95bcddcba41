import { readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { appendRecordAfter } from "@trainingrun/checkpoint/log/append.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { DirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { conditionOf, type RunView } from "../harness/run-view.ts";
import { findRunVolume, flipOneBit, type RunVolume } from "../harness/run-volume.ts";
import type { Deed, Undo } from "./row.ts";

/** Somebody empties the run's directory of checkpoints; the log still tells of them. */
export const loseCheckpoints: Deed = whileSuspended(async (volume) => {
  for (const { name } of await savedOn(volume)) await rm(join(volume.directory, "data", name), { recursive: true });
  return undefined;
});

/** The two newest checkpoints have a flipped bit each: as a node sees them whose memory is at fault. */
export const damageTwo: Deed = whileSuspended(async (volume) => {
  for (const checkpoint of (await savedOn(volume)).slice(0, 2)) await flipOneBit(volume, checkpoint);
  return undefined;
});

/** Every checkpoint that the volume holds, the newest first, whatever the run's status knows of it. */
async function savedOn({
  directory,
}: RunVolume): Promise<readonly Readonly<{ name: string; step: number; attempt: number }>[]> {
  const names = await readdir(join(directory, "data"));
  return names
    .toSorted()
    .toReversed()
    .flatMap((name) => {
      const { step, attempt } = /^step-(?<step>\d+)-a(?<attempt>\d+)$/.exec(name)?.groups ?? {};
      return step === undefined ? [] : [{ name, step: Number(step), attempt: Number(attempt) }];
    });
}

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
