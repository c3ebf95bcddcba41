import { directoryName, parseDirectoryName } from "./directory-name.ts";
import { appendRecord, type FencedBy } from "./log/append.ts";
import type { RunState } from "./log/state.ts";
import { UnknownFormatError } from "./manifest.ts";
import { commitOf } from "./save.ts";
import { pendingShards, publishShards } from "./shards/commit-shards.ts";
import { DamagedFileError, type Store } from "./store/store.ts";
import type { RefusalReason, Verdict } from "./verify.ts";

/** A complete directory without a record that did not verify on this node: there is nothing that could refuse it. */
export type Unadopted = Readonly<{ directory: string; reason: RefusalReason }>;

/** The state after adoption, or the fence that ended it; `warnings` name what was found and not adopted. */
export type Adoption =
  | Readonly<{ kind: "adopted"; state: RunState; warnings: readonly string[]; unadopted: readonly Unadopted[] }>
  | Readonly<{ kind: "fenced"; fence: FencedBy }>;

/**
 * Commits, on behalf of the last opened attempt, complete directories that have no record because their writer died
 * between rename and append (I4), and what a gang had brought together when its worker 0 was gone. Only those newer than
 * its last commit: older ones are of no use to anyone.
 */
export async function adopt(
  store: Store,
  state: RunState,
  { verify, signal }: { verify: (directory: string) => Promise<Verdict>; signal?: AbortSignal },
): Promise<Adoption> {
  let now = state;
  const warnings = await bringTogether(store, state);
  const unadopted: Unadopted[] = [];
  for (const directory of await unrecorded(store, state)) {
    const verdict = await judge(directory, verify);
    if (!verdict.ok) {
      warnings.push(`${directory} has no record and was not adopted: ${verdict.message}`);
      if (verdict.reason !== null) unadopted.push({ directory, reason: verdict.reason });
      continue;
    }
    // The writer may have died before it made the new name durable.
    await store.settle(directory);
    const outcome = await appendRecord(store, commitOf(verdict.manifest), signal === undefined ? {} : { signal });
    if (outcome.kind === "fenced") return { kind: "fenced", fence: outcome };
    now = outcome.state;
  }
  return { kind: "adopted", state: now, warnings, unadopted };
}

/** Names what all workers of a gang had saved; says of which step something is missing. */
async function bringTogether(store: Store, state: RunState): Promise<string[]> {
  const { opened, fence } = state;
  if (opened === null || fence?.attempt !== opened.attempt) return [];
  const warnings: string[] = [];
  for (const step of await pendingShards(store, state)) {
    const said = await publishLeft(store, { step, attempt: opened.attempt });
    if (said !== null) warnings.push(`What the workers of attempt ${opened.attempt} saved of step ${step} is ${said}`);
  }
  return warnings;
}

async function publishLeft(store: Store, place: { step: number; attempt: number }): Promise<string | null> {
  try {
    const set = await publishShards(store, place);
    if (set.kind === "wrong") return `no checkpoint: ${set.message}`;
    // What was published already has left but its seals, or nothing.
    if (set.kind === "published" || (await store.names()).includes(directoryName(place.step, place.attempt)))
      return null;
    return `no checkpoint: ${set.sealed.length} of ${set.workers ?? "unknown"} shards are there`;
  } catch (error) {
    if (error instanceof DamagedFileError) return `no checkpoint: ${error.message}`;
    throw error;
  }
}

/** A format of the future is no reason to end the run, nor to touch the directory: one refusal, by name. */
async function judge(
  directory: string,
  verify: (directory: string) => Promise<Verdict>,
): Promise<Verdict | Readonly<{ ok: false; reason: null; message: string }>> {
  try {
    return await verify(directory);
  } catch (error) {
    if (!(error instanceof UnknownFormatError)) throw error;
    return { ok: false, reason: null, message: `UnknownFormat: ${error.message}` };
  }
}

async function unrecorded(store: Store, state: RunState): Promise<string[]> {
  const { opened, fence, checkpoints, deleted } = state;
  // Where a higher attempt's open is damaged, a commit of this one would be void.
  if (opened === null || fence?.attempt !== opened.attempt) return [];
  const own = checkpoints.filter(({ attempt }) => attempt === opened.attempt);
  const newest = Math.max(-1, ...own.map(({ step }) => step));
  const gone = new Set(deleted.map(({ directory }) => directory));
  return (await store.names()).filter((name) => {
    const place = parseDirectoryName(name);
    return place !== null && place.attempt === opened.attempt && place.step > newest && !gone.has(name);
  });
}
