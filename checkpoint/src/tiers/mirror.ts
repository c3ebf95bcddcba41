import type { Digest } from "../contract/digest.ts";
import { inLanes } from "../in-lanes.ts";
import { limits } from "../limits.ts";
import { appendRecord, FencedError } from "../log/append.ts";
import { find } from "../log/fold.ts";
import { readLog } from "../log/read.ts";
import type { CheckpointRef } from "../log/state.ts";
import type { Manifest } from "../manifest.ts";
import { commitOf } from "../save.ts";
import { DamagedFileError, type Store, type StoredCheckpoint } from "../store/store.ts";
import { assembleCheckpoint } from "./assemble.ts";
import { readStoredManifest } from "./stored-manifest.ts";

type Tiers = Readonly<{ from: Store; to: Store; attempt: number }>;
type UploadOptions = Readonly<{ signal?: AbortSignal | undefined; onBytes?: (bytes: number) => void }>;

/** A copy on the volume no longer matches its manifest, although it did: nothing was uploaded. */
export class SourceDamagedError extends Error {
  override readonly name = "SourceDamagedError";
}

/** The object store's log does not take the checkpoint, and not because of a fence. */
export class MirrorRefusedError extends Error {
  override readonly name = "MirrorRefusedError";
}

const checkpointsAtOnce = 4;
const filesAtOnce = 16;
/** All the files that there may be, and the manifest. */
const maxListed = limits.files + 1;

/**
 * Everything that is whole in the object store and that its log knows: what an earlier life of this agent, or an earlier
 * attempt, has uploaded. A base that was carried into the log without its bytes is not among them, nor is what has lost
 * some since.
 */
export async function readMirrored(to: Store, { signal }: { signal?: AbortSignal } = {}): Promise<Set<Digest>> {
  const { state } = await readLog(to, signal === undefined ? {} : { signal });
  const present = new Set(await to.names());
  const whole = new Set<Digest>();
  const there = state.checkpoints.filter(({ directory }) => present.has(directory));
  await inLanes(there, checkpointsAtOnce, async ({ digest, directory }) => {
    if ((await readWhole(to.checkpoint(directory), digest, signal)) !== null) whole.add(digest);
  });
  return whole;
}

/**
 * The manifest of a copy of which nothing is missing and every file has its size; null for any other. The manifest is put
 * last, so without one an upload was begun and not ended, or a removal was. One listing tells most sizes; what it leaves
 * out, or has otherwise, is looked at by itself, for a listing may lag behind. The bytes are for the restore to match.
 */
async function readWhole(copy: StoredCheckpoint, digest: Digest, signal?: AbortSignal): Promise<Manifest | null> {
  signal?.throwIfAborted();
  const stored = await readStoredManifest(copy, digest);
  if (stored === null) return null;
  const listed = new Map((await copy.entries(maxListed))?.map(({ path, bytes }) => [path, bytes]));
  const unsure = stored.manifest.files.filter(({ path, bytes }) => listed.get(path) !== bytes);
  let isWhole = true;
  await inLanes(unsure, filesAtOnce, async ({ path, bytes }) => {
    signal?.throwIfAborted();
    if (isWhole && (await sizeOf(copy, path)) !== bytes) isWhole = false;
  });
  return isWhole ? stored.manifest : null;
}

async function sizeOf(copy: StoredCheckpoint, path: string): Promise<number | null> {
  try {
    await using file = await copy.open(path);
    return file?.bytes ?? null;
  } catch (error) {
    if (error instanceof DamagedFileError) return null;
    throw error;
  }
}

/**
 * Copies one checkpoint from the volume into the object store and commits it there: data, manifest, record. Dying at any
 * point leaves nothing that a reader would accept, or all of it; it may be repeated at any time, and what stands whole
 * already is not uploaded again. Throws {@link FencedError} when a newer attempt holds the object store's log,
 * {@link SourceDamagedError} when the volume's copy does not match any more, {@link MirrorRefusedError} when the log
 * refuses it for another reason, `StorageUnavailableError` when a tier fails.
 */
export async function mirrorCheckpoint(
  tiers: Tiers,
  checkpoint: CheckpointRef,
  options: UploadOptions = {},
): Promise<void> {
  const { to, attempt } = tiers;
  const { signal } = options;
  const whole = await readWhole(to.checkpoint(checkpoint.directory), checkpoint.digest, signal);
  const manifest = whole ?? (await upload(tiers, checkpoint, options));
  // The base of this attempt stands in the log already: its `open` carried it there.
  if (checkpoint.attempt !== attempt) return;
  const outcome = await appendRecord(to, commitOf(manifest), signal === undefined ? {} : { signal });
  if (outcome.kind === "fenced") throw new FencedError(outcome.message, outcome.by);
  if (outcome.kind === "void" && find(outcome.state, checkpoint.digest) === undefined) {
    throw new MirrorRefusedError(`Cannot mirror step ${checkpoint.step}: ${outcome.message}`);
  }
}

async function upload(
  { from, to }: Tiers,
  checkpoint: CheckpointRef,
  { signal, onBytes }: UploadOptions,
): Promise<Manifest> {
  const watched = onBytes === undefined ? {} : { onBytes };
  const assembled = await assembleCheckpoint({ to, from: [from], checkpoint, signal, ...watched });
  if (assembled.kind === "assembled") return assembled.manifest;
  throw new SourceDamagedError(
    `Cannot mirror step ${checkpoint.step} of attempt ${checkpoint.attempt} because ${assembled.message}`,
  );
}
