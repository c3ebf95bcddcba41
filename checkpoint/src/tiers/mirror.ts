import type { Digest } from "../contract/digest.ts";
import { manifestName } from "../file-path.ts";
import { appendRecord, FencedError } from "../log/append.ts";
import { find } from "../log/fold.ts";
import { readLog } from "../log/read.ts";
import type { CheckpointRef } from "../log/state.ts";
import { commitOf } from "../save.ts";
import type { Store } from "../store/store.ts";
import { assembleCheckpoint } from "./assemble.ts";

type Tiers = Readonly<{ from: Store; to: Store; attempt: number }>;
type UploadOptions = Readonly<{ signal?: AbortSignal | undefined; onBytes?: (bytes: number) => void }>;

/** A copy on the volume no longer matches its manifest, although it did: nothing was uploaded. */
export class SourceDamagedError extends Error {
  override readonly name = "SourceDamagedError";
}

/**
 * Everything that is whole in the object store and that its log knows: what an earlier life of this agent, or an earlier
 * attempt, has uploaded. A base that was carried into the log without its bytes is not among them.
 */
export async function readMirrored(to: Store, { signal }: { signal?: AbortSignal } = {}): Promise<Set<Digest>> {
  const { state } = await readLog(to, signal === undefined ? {} : { signal });
  const present = new Set(await to.names());
  const candidates = state.checkpoints.filter(({ directory }) => present.has(directory));
  const whole = new Set<Digest>();
  for (const { digest, directory } of candidates) {
    signal?.throwIfAborted();
    // The manifest is put last. Without one an upload was begun and not ended, or a removal was.
    await using manifest = await to.checkpoint(directory).open(manifestName);
    if (manifest !== null) whole.add(digest);
  }
  return whole;
}

/**
 * Copies one checkpoint from the volume into the object store and commits it there: data, manifest, record. Dying at any
 * point leaves nothing that a reader would accept, or all of it; it may be repeated at any time. Throws
 * {@link FencedError} when a newer attempt holds the object store's log, {@link SourceDamagedError} when the volume's
 * copy does not match any more, `StorageUnavailableError` when a tier fails.
 */
export async function mirrorCheckpoint(
  { from, to, attempt }: Tiers,
  checkpoint: CheckpointRef,
  { signal, onBytes }: UploadOptions = {},
): Promise<void> {
  const assembled = await assembleCheckpoint({
    to,
    from: [from],
    checkpoint,
    signal,
    ...(onBytes !== undefined && { onBytes }),
  });
  if (assembled.kind === "impossible") {
    throw new SourceDamagedError(
      `Cannot mirror step ${checkpoint.step} of attempt ${checkpoint.attempt} because ${assembled.message}`,
    );
  }
  // The base of this attempt stands in the log already: its `open` carried it there.
  if (checkpoint.attempt !== attempt) return;
  const options = signal === undefined ? {} : { signal };
  const outcome = await appendRecord(to, commitOf(assembled.manifest), options);
  if (outcome.kind === "fenced") throw new FencedError(outcome.message, outcome.by);
  if (outcome.kind === "void" && find(outcome.state, checkpoint.digest) === undefined) {
    throw new Error(`Cannot mirror step ${checkpoint.step}: ${outcome.message}`);
  }
}
