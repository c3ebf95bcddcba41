import { parseDirectoryName } from "./directory-name.ts";
import { appendRecord, type FencedBy } from "./log/append.ts";
import type { RunState } from "./log/state.ts";
import { UnknownFormatError } from "./manifest.ts";
import { commitOf } from "./save.ts";
import type { Store } from "./store/store.ts";
import type { Verdict } from "./verify.ts";

/** The state after adoption, or the fence that ended it; `warnings` name what was found and not adopted. */
export type Adoption =
  | Readonly<{ kind: "adopted"; state: RunState; warnings: readonly string[] }>
  | Readonly<{ kind: "fenced"; fence: FencedBy }>;

/**
 * Commits, on behalf of the last opened attempt, complete directories that have no record because their writer died
 * between rename and append (I4). Only those newer than its last commit: older ones are of no use to anyone.
 */
export async function adopt(
  store: Store,
  state: RunState,
  { verify, signal }: { verify: (directory: string) => Promise<Verdict>; signal?: AbortSignal },
): Promise<Adoption> {
  let now = state;
  const warnings: string[] = [];
  for (const directory of await unrecorded(store, state)) {
    const verdict = await judge(directory, verify);
    if (!verdict.ok) {
      warnings.push(`${directory} has no record and was not adopted: ${verdict.message}`);
      continue;
    }
    // The writer may have died before it made the new name durable.
    await store.settle(directory);
    const outcome = await appendRecord(store, commitOf(verdict.manifest), signal === undefined ? {} : { signal });
    if (outcome.kind === "fenced") return { kind: "fenced", fence: outcome };
    now = outcome.state;
  }
  return { kind: "adopted", state: now, warnings };
}

/** A format of the future is no reason to end the run, nor to touch the directory: one refusal, by name. */
async function judge(
  directory: string,
  verify: (directory: string) => Promise<Verdict>,
): Promise<Verdict | Readonly<{ ok: false; message: string }>> {
  try {
    return await verify(directory);
  } catch (error) {
    if (!(error instanceof UnknownFormatError)) throw error;
    return { ok: false, message: `UnknownFormat: ${error.message}` };
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
