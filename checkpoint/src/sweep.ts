import type { Expected } from "./contract/pod-environment.ts";
import { parseDirectoryName, parseSavingName, parseSettlingName, parseShardsName } from "./directory-name.ts";
import { letGo } from "./let-go.ts";
import { lostAttempts } from "./log/lost-opens.ts";
import type { RunState } from "./log/state.ts";
import type { StorageUnavailableError, Store } from "./store/store.ts";
import { readStoredManifest } from "./tiers/stored-manifest.ts";
import { hasUnknownFormat } from "./verify.ts";

/** What is known beside the log when it is swept. */
type Known = Pick<Expected, "recorded"> &
  Partial<Pick<RunState, "deleted">> & {
    matched?: ReadonlySet<string>;
    /**
     * Complete directories without a record that stay this time, as evidence of what did not verify; `Complete` for all of
     * them. None is adopted any more, for that is done under the `open` of its own attempt alone: it takes its room until
     * another attempt's sweep.
     */
    spared?: readonly string[] | "Complete";
  };

const noNames: ReadonlySet<string> = new Set();

/**
 * Removes what dead writers left, under the `open` in this state: unfinished directories, and complete ones without a
 * record, of lower attempts (a commit of theirs can never count again); trash; and what a tombstone names, be it one of
 * `deleted`, from before that `open`. A complete directory stays whose record may have been lost to damage, which is on the
 * operator's record, which is among the `spared`, or which is of another format: a later program may know what it is worth. A checkpoint of the log
 * whose settling was cut off gets its name; what is aside of one that has its name goes where that is among `matched`, the
 * directories that this process has just found whole, and else stays, for it may be the better copy.
 * Returns the names removed, and why the first one stays that the device does not let go of.
 */
export async function sweep(
  store: Store,
  state: RunState,
  { recorded, deleted = [], matched = noNames, spared = [] }: Known,
): Promise<Readonly<{ removed: readonly string[]; warning: StorageUnavailableError | null }>> {
  await store.removeTemporaries();
  const removed: string[] = [];
  let warning: StorageUnavailableError | null = null;
  const names = await store.names();
  const entombed = new Set([...state.deleted, ...deleted].map(({ directory }) => directory));
  // What this attempt took from the other tier's log is there again.
  for (const { directory } of state.checkpoints) entombed.delete(directory);
  const named = new Set(names);
  const isOld = (name: string) => isLeftover(name, state) || isSecondCopy(name, { state, matched, named });
  const leftovers = names.filter((one) => entombed.has(one) || isOld(one));
  const lost = leftovers.some((name) => parseDirectoryName(name))
    ? await lostAttempts(store, state)
    : new Set<number>();
  for (const name of leftovers) {
    const place = entombed.has(name) ? null : parseDirectoryName(name);
    if (place !== null && (spared === "Complete" || spared.includes(name))) continue;
    if (place !== null && (lost.has(place.attempt) || (await hasUnknownFormat(store, name)))) continue;
    if (place !== null && (await isRecorded(store, name, { recorded, step: place.step }))) continue;
    if (place === null && (await hasLostName(store, name, state))) continue;
    const kept = await letGo(store, name);
    if (kept === null) removed.push(name);
    warning ??= kept;
  }
  for (const directory of nameless(names, state)) await store.settle(directory);
  return { removed, warning };
}

/** Whether it is aside of a checkpoint of the log, and the only one left of it: a repair at work takes the name away for a moment. */
async function hasLostName(store: Store, name: string, state: RunState): Promise<boolean> {
  const settling = parseSettlingName(name);
  if (settling === null || !isCheckpoint(settling, state)) return false;
  return !(await store.names()).includes(settling);
}

/** Whether it holds a checkpoint that the operator has on record as verified. */
async function isRecorded(
  store: Store,
  name: string,
  { recorded, step }: Pick<Expected, "recorded"> & { step: number },
): Promise<boolean> {
  for (const known of recorded.filter((one) => one.step === step)) {
    if ((await readStoredManifest(store.checkpoint(name), known.digest)) !== null) return true;
  }
  return false;
}

/** Whether it is aside of a checkpoint of the log that is whole under its name: what a repair, or an error of a settling, left. */
function isSecondCopy(
  name: string,
  { state, matched, named }: { state: RunState; matched: ReadonlySet<string>; named: ReadonlySet<string> },
): boolean {
  const settling = parseSettlingName(name);
  return settling !== null && isCheckpoint(settling, state) && named.has(settling) && matched.has(settling);
}

/** Checkpoints of the log that have no name but that of their settling. */
function nameless(names: readonly string[], state: RunState): string[] {
  const settling = names.flatMap((name) => parseSettlingName(name) ?? []);
  return settling.filter((directory) => isCheckpoint(directory, state) && !names.includes(directory));
}

function isCheckpoint(name: string, { checkpoints }: RunState): boolean {
  return checkpoints.some(({ directory }) => directory === name);
}

function isLeftover(name: string, state: RunState): boolean {
  const attempt = state.opened?.attempt ?? 0;
  if (name.startsWith(".trash-")) return true;
  const saving = parseSavingName(name) ?? parseShardsName(name);
  if (saving !== null) return saving.attempt < attempt;
  const settling = parseSettlingName(name);
  // Whether it is of any use, its name and the bytes under that have to say.
  if (settling !== null && isCheckpoint(settling, state)) return false;
  if (settling !== null) return (parseDirectoryName(settling)?.attempt ?? attempt) < attempt;
  const place = parseDirectoryName(name);
  if (place === null || place.attempt >= attempt) return false;
  return !isCheckpoint(name, state);
}
