import type { Digest } from "../contract/digest.ts";
import { manifestName } from "../file-path.ts";
import { appendRecord, FencedError } from "../log/append.ts";
import { find } from "../log/fold.ts";
import { readLog } from "../log/read.ts";
import type { CheckpointRef } from "../log/state.ts";
import type { Manifest } from "../manifest.ts";
import { commitOf } from "../save.ts";
import type { Store } from "../store/store.ts";
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

const lookedAtAtOnce = 16;

/**
 * Everything that is whole in the object store and that its log knows: what an earlier life of this agent, or an earlier
 * attempt, has uploaded. A base that was carried into the log without its bytes is not among them.
 */
export async function readMirrored(to: Store, { signal }: { signal?: AbortSignal } = {}): Promise<Set<Digest>> {
  const { state } = await readLog(to, signal === undefined ? {} : { signal });
  const present = new Set(await to.names());
  const candidates = state.checkpoints.filter(({ directory }) => present.has(directory));
  const whole = new Set<Digest>();
  for (let from = 0; from < candidates.length; from += lookedAtAtOnce) {
    signal?.throwIfAborted();
    const some = candidates.slice(from, from + lookedAtAtOnce);
    const found = await Promise.all(some.map(({ directory }) => hasManifest(to, directory)));
    for (const [index, { digest }] of some.entries()) if (found[index]) whole.add(digest);
  }
  return whole;
}

/** The manifest is put last. Without one an upload was begun and not ended, or a removal was. */
async function hasManifest(to: Store, directory: string): Promise<boolean> {
  await using manifest = await to.checkpoint(directory).open(manifestName);
  return manifest !== null;
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
  const stored = await readStoredManifest(to.checkpoint(checkpoint.directory), checkpoint.digest);
  const manifest = stored?.manifest ?? (await upload(tiers, checkpoint, options));
  // The base of this attempt stands in the log already: its `open` carried it there.
  if (checkpoint.attempt !== attempt) return;
  const { signal } = options;
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
