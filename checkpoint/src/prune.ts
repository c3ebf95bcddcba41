import { parseSettlingName } from "./directory-name.ts";
import { letGo } from "./let-go.ts";
import { appendRecordAfter, FencedError } from "./log/append.ts";
import { readLog } from "./log/read.ts";
import type { CheckpointRef, RunState } from "./log/state.ts";
import { type RetentionInput, type RetentionPlan, retain } from "./retention.ts";
import { hadNoRoom } from "./store/file-system.ts";
import type { StorageUnavailableError, Store } from "./store/store.ts";

/** What retention decides from, without the log, which is read afresh. */
export type PruneRequest = Omit<RetentionInput, "state"> & Readonly<{ attempt: number; signal?: AbortSignal }>;

/**
 * The plan that was carried out, the state it left, and what was removed. `warning` is why the first one stays that the
 * device does not let go of.
 */
export type Pruned = Readonly<{
  plan: RetentionPlan;
  state: RunState;
  removed: readonly CheckpointRef[];
  warning: StorageUnavailableError | null;
}>;

const maxRounds = 20;
const tombstonesPerRecord = 256;

/**
 * Carries out retention: a tombstone is appended, and won, before a byte goes (I6). The plan holds only in the state it
 * was made from, so a log that moved meanwhile means a new plan. What an earlier, killed prune left half removed, or in
 * the trash, is finished first. Throws `FencedError` when a newer attempt holds the log.
 */
export async function prune(store: Store, { attempt, signal, ...input }: PruneRequest): Promise<Pruned> {
  const options = signal === undefined ? {} : { signal };
  await store.reserve?.keep();
  for (let round = 0; ; round += 1) {
    const { state } = await readLog(store, options);
    holdTo(state, attempt);
    const remover = { attempt, ...options };
    // Only a rename makes trash, or leaves a copy aside, and a bucket has none.
    const passing = store.tier === "Volume" ? (await store.names()).filter((name) => name.startsWith(".")) : [];
    const trash = await emptyTrash(store, passing);
    const unfinished = await finishRemovals(store, state, remover);
    const left = trash ?? unfinished;
    const plan = retain({ ...input, state });
    const removed = plan.remove.slice(0, tombstonesPerRecord).map(({ ref }) => ref);
    if (removed.length === 0 || round === maxRounds) return { plan, state, removed: [], warning: left };
    const manifests = removed.map(({ digest }) => digest);
    const why = (plan.remove[0]?.why ?? "").slice(0, 512);
    const outcome = await usingReserve(store, () =>
      appendRecordAfter(store, { kind: "delete", attempt, manifests, why }, { after: state.last, ...options }),
    );
    if (outcome.kind === "fenced") throw new FencedError(outcome.message, outcome.by);
    if (outcome.kind !== "appended") continue;
    const directories = removed.map(({ directory }) => directory);
    const warning = await removeDeleted(store, [...asideOf(directories, passing), ...directories], remover);
    await store.reserve?.keep();
    return { plan, state: outcome.state, removed, warning: left ?? warning };
  }
}

/** A full volume has no room for the tombstone that would make some: there the reserve is given up for it. */
async function usingReserve<T>({ reserve }: Store, append: () => Promise<T>): Promise<T> {
  try {
    return await append();
  } catch (error) {
    if (!hadNoRoom(error) || !(await reserve?.release())) throw error;
    return await append();
  }
}

/** Only the attempt that holds the log removes anything. */
function holdTo({ fence }: RunState, attempt: number): void {
  if (fence === null || fence.attempt <= attempt) return;
  throw new FencedError(
    `Cannot prune for attempt ${attempt} because attempt ${fence.attempt} has opened the log`,
    fence,
  );
}

/**
 * What a process that was killed as it removed has left under a name that nobody looks for. Its room may be what the next
 * tombstone needs.
 */
async function emptyTrash(store: Store, names: readonly string[]): Promise<StorageUnavailableError | null> {
  let warning: StorageUnavailableError | null = null;
  for (const name of names) {
    const kept = name.startsWith(".trash-") ? await letGo(store, name) : null;
    warning ??= kept;
  }
  return warning;
}

type Remover = Readonly<{ attempt: number; signal?: AbortSignal }>;

async function finishRemovals(store: Store, { deleted }: RunState, remover: Remover) {
  if (deleted.length === 0) return null;
  const names = await store.names();
  const gone = new Set(deleted.map(({ directory }) => directory));
  return removeDeleted(store, [...asideOf([...gone], names), ...names.filter((name) => gone.has(name))], remover);
}

/**
 * What a repair, or an error of a settling, left aside of these. It goes first: once it were alone, whoever opens the
 * volume would give it the name of what was deleted.
 */
function asideOf(directories: readonly string[], names: readonly string[]): string[] {
  return names.filter((name) => directories.includes(parseSettlingName(name) ?? ""));
}

/**
 * A process may sleep between its tombstone and the removal, and a newer attempt may have downloaded the same checkpoint
 * meanwhile to go on from it. So the log is asked right before each, whether the tombstone is still the last word.
 */
async function removeDeleted(
  store: Store,
  names: readonly string[],
  { attempt, ...options }: Remover,
): Promise<StorageUnavailableError | null> {
  let warning: StorageUnavailableError | null = null;
  for (const name of names) {
    const { state } = await readLog(store, options);
    holdTo(state, attempt);
    if (!state.deleted.some(({ directory }) => directory === (parseSettlingName(name) ?? name))) continue;
    const kept = await letGo(store, name);
    warning ??= kept;
  }
  return warning;
}
