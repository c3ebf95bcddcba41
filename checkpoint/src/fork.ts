import { candidates, whyNotChosen } from "./candidates.ts";
import type { Digest, Tier } from "./contract/digest.ts";
import type { Expected, ForkSource } from "./contract/pod-environment.ts";
import { directoryName } from "./directory-name.ts";
import { readLog } from "./log/read.ts";
import { type CheckpointRef, emptyState, type RunState } from "./log/state.ts";
import { type Manifest, sealManifest } from "./manifest.ts";
import type { Store } from "./store/store.ts";
import { assembleCheckpoint } from "./tiers/assemble.ts";
import { mergeStates } from "./tiers/merged-state.ts";
import { readStoredManifest } from "./tiers/stored-manifest.ts";
import { verifyCheckpoint } from "./verify.ts";

/** A copy of another run's checkpoint stands whole under this attempt, and in no log yet; or why there is none. */
export type Forked =
  | Readonly<{ kind: "copied"; ref: CheckpointRef; tier: Tier }>
  | Readonly<{ kind: "missing"; message: string }>;

type Options = Readonly<{
  source: ForkSource;
  /** The tiers of that run, its volume first. They are read and nothing else. */
  stores: readonly Store[];
  attempt: number;
  signal?: AbortSignal | undefined;
}>;

/** The checkpoint of another run that is to be taken over before anything else; null where there is none, or it was taken. */
export function forkToTake({ opened }: RunState, { base }: Pick<Expected, "base">): ForkSource | null {
  const source = base?.source;
  return source === undefined || (opened?.attempt ?? 0) >= source.since ? null : source;
}

/**
 * Copies a checkpoint of another run onto this run's volume, under this attempt:
 *
 *     find it (that run's log, or its place) ─► match every byte on its way here ─► publish ─► read the copy back
 *
 * The files are the same to the last bit; the manifest is this run's own, whose `parent` is the source's digest. It says
 * nothing of the time of the copying, so a restore that is repeated comes to the same digest, and finds its copy. Throws
 * where a tier fails, or aborted.
 */
export async function copyFork(volume: Store, { source, stores, attempt, signal }: Options): Promise<Forked> {
  const options = signal === undefined ? {} : { signal };
  const missing = (because: string): Forked => {
    return { kind: "missing", message: `the checkpoint of run ${source.run} cannot be copied: ${because}` };
  };
  if (source.run === volume.runUid) return missing("it is this very run, whose own checkpoints are chosen by {step}");
  const place = await locate(source, stores, options);
  if (typeof place === "string") return missing(place);
  const found = await manifestIn(place, stores);
  if (found === null) return missing(`no copy of ${place.directory} has the manifest ${place.digest}`);
  const { manifest, tier } = found;
  if (manifest.runUid !== source.run) return missing(`${place.directory} belongs to run ${manifest.runUid}`);
  const { digest: parent, format: _format, totals: _totals, ...saved } = manifest;
  const own = sealManifest({ ...saved, runUid: volume.runUid, attempt, parent });
  const copy = { digest: own.digest, directory: directoryName(own.step, own.attempt) };
  // An earlier life of this pod may have come so far.
  const known = await verifyCheckpoint(volume, copy, options);
  if (known.ok) return { kind: "copied", ref: refOf(own, copy.directory), tier };
  const assembled = await assembleCheckpoint({ to: volume, from: stores, checkpoint: place, as: own, signal });
  if (assembled.kind === "impossible") return missing(assembled.message);
  const verdict = await verifyCheckpoint(volume, copy, options);
  return verdict.ok ? { kind: "copied", ref: refOf(own, copy.directory), tier } : missing(verdict.message);
}

type Place = Readonly<{ directory: string; digest: Digest }>;

/** Where it lies below its run's directory, or why it cannot be told. */
async function locate(
  { checkpoint }: ForkSource,
  stores: readonly Store[],
  options: { signal?: AbortSignal },
): Promise<Place | string> {
  if (stores.length === 0) return "nothing of that run is there";
  if ("digest" in checkpoint) return checkpoint;
  let state: RunState = emptyState;
  for (const store of stores) state = mergeStates(state, (await readLog(store, options)).state);
  const choice = { base: checkpoint, refused: [] };
  return candidates(state, choice)[0] ?? whyNotChosen(state, choice);
}

async function manifestIn(
  { directory, digest }: Place,
  stores: readonly Store[],
): Promise<Readonly<{ manifest: Manifest; tier: Tier }> | null> {
  for (const store of stores) {
    const stored = await readStoredManifest(store.checkpoint(directory), digest);
    if (stored !== null) return { manifest: stored.manifest, tier: store.tier };
  }
  return null;
}

function refOf({ digest, step, epoch, attempt, totals, metrics, health, time }: Manifest, directory: string) {
  return {
    digest,
    step,
    ...(epoch === undefined ? {} : { epoch }),
    attempt,
    directory,
    bytes: totals.bytes,
    metrics,
    unhealthy: health.unexpectedTensors > 0,
    time,
  };
}
