import { parseDirectoryName, parseSavingName } from "./directory-name.ts";
import type { RunState } from "./log/state.ts";
import type { Store } from "./store/store.ts";
import { hasUnknownFormat } from "./verify.ts";

/**
 * Removes what dead writers left, under the `open` in this state: unfinished directories, and complete ones without a
 * record, of lower attempts (a commit of theirs can never count again); trash; and what a tombstone names. A complete
 * directory of another format stays: a later program may know what it is worth. Returns the names removed.
 */
export async function sweep(store: Store, state: RunState): Promise<string[]> {
  await store.removeTemporaries();
  const removed: string[] = [];
  for (const name of (await store.names()).filter((one) => isLeftover(one, state))) {
    if (parseDirectoryName(name) !== null && (await hasUnknownFormat(store, name))) continue;
    await store.remove(name);
    removed.push(name);
  }
  return removed;
}

function isLeftover(name: string, state: RunState): boolean {
  const attempt = state.opened?.attempt ?? 0;
  if (name.startsWith(".trash-")) return true;
  const saving = parseSavingName(name);
  if (saving !== null) return saving.attempt < attempt;
  const settling = /^\.settling-(.*)$/.exec(name)?.[1];
  if (settling !== undefined) return (parseDirectoryName(settling)?.attempt ?? attempt) < attempt;
  if (state.deleted.some(({ directory }) => directory === name)) return true;
  const place = parseDirectoryName(name);
  if (place === null || place.attempt >= attempt) return false;
  return !state.checkpoints.some(({ directory }) => directory === name);
}
