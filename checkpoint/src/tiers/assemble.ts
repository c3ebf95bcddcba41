import { LentBuffers } from "../buffer-pool.ts";
import type { Digest } from "../contract/digest.ts";
import { inLanes } from "../in-lanes.ts";
import { type Manifest, type ManifestFile, manifestBytes } from "../manifest.ts";
import { DamagedFileError, type Store, type StoredCheckpoint } from "../store/store.ts";
import { type Copy, type DamagedChunk, matchedChunks, NoCopyMatchesError } from "./matched-chunks.ts";
import { readStoredManifest, type StoredManifest } from "./stored-manifest.ts";

/**
 * The checkpoint stands whole in the tier, or no way was found to make it so from the copies that there are, or it was made
 * and whoever asked for it did not want it to take its place.
 */
export type Assembled =
  | Readonly<{ kind: "assembled"; manifest: Manifest; damages: readonly DamagedChunk[] }>
  | Readonly<{ kind: "impossible" | "unconfirmed"; message: string }>;

type Options = Readonly<{
  /** Where it is to stand. A copy of it that is there is replaced, at the very end. */
  to: Store;
  /** Tiers that may have it, in the order in which they are asked. */
  from: readonly Store[];
  /** Copies under other names, which are asked before those. */
  aside?: readonly StoredCheckpoint[];
  checkpoint: Readonly<{ digest: Digest; directory: string }>;
  /** Under which manifest it stands in `to`, of the same files; its own where absent. */
  as?: Manifest | undefined;
  signal?: AbortSignal | undefined;
  /** On a volume: whether the new copy, whole and durable under a name that nobody reads, may take its place. */
  confirm?: ((copy: StoredCheckpoint) => Promise<boolean>) | undefined;
  /** Hears of bytes as they are handed to the writer. */
  onBytes?: (bytes: number) => void;
}>;

const smallBytes = 1024 * 1024;
const smallAtOnce = 16;
/** Three chunks on their way here, and what four parts of an upload and the one that is being filled hold. */
const buffersInUse = 13;

/**
 * Makes a whole copy of a checkpoint out of those in other tiers: a download, an upload, or a repair, which is all three
 * in one. Nothing is handed on but chunks that match the manifest of that digest, and what was written is published only
 * when all of it was; until then a reader finds what was there before. Throws where a tier itself fails, or aborted.
 */
export async function assembleCheckpoint({
  to,
  from,
  aside = [],
  checkpoint,
  as,
  signal,
  confirm,
  onBytes,
}: Options): Promise<Assembled> {
  const copies = [...aside, ...from.map((store) => store.checkpoint(checkpoint.directory))];
  const found = await findManifest(copies, checkpoint.digest);
  if (found === null) {
    return { kind: "impossible", message: `no copy of ${checkpoint.directory} has the manifest ${checkpoint.digest}` };
  }
  const { manifest, text } = as === undefined ? found : { manifest: as, text: manifestBytes(as) };
  const damages: DamagedChunk[] = [];
  const writer = await to.begin({ step: manifest.step, attempt: manifest.attempt });
  try {
    const onDamage = (damage: DamagedChunk) => void damages.push(damage);
    const write = async (file: ManifestFile, buffers?: LentBuffers) => {
      await using opened = await openCopies(copies, file);
      const room = buffers === undefined ? {} : { buffers };
      const chunks = matchedChunks(file, { copies: opened.copies, signal, onDamage, ...room });
      await writer.write(file.path, counted(chunks, onBytes), file.bytes);
    };
    // Of large files some chunks are on their way at once; of small ones it is the files.
    const isSmall = ({ bytes }: ManifestFile) => bytes <= smallBytes;
    await inLanes(manifest.files.filter(isSmall), smallAtOnce, write);
    await using buffers = new LentBuffers(buffersInUse);
    for (const file of manifest.files) if (!isSmall(file)) await write(file, buffers);
    signal?.throwIfAborted();
    await writer.publish(text, { replace: true, confirm: confirm && refusing(confirm) });
    return { kind: "assembled", manifest, damages };
  } catch (error) {
    await writer.abandon();
    if (error instanceof UnconfirmedError) return { kind: "unconfirmed", message: error.message };
    // A damaged copy that does not let itself be replaced is a defect of that copy, not of the tier.
    if (error instanceof NoCopyMatchesError || error instanceof DamagedFileError) {
      return { kind: "impossible", message: error.message };
    }
    throw error;
  }
}

class UnconfirmedError extends Error {
  override readonly name = "UnconfirmedError";
}

/** As a writer asks: to that a no is an error. */
function refusing(confirm: NonNullable<Options["confirm"]>): (copy: StoredCheckpoint) => Promise<void> {
  return async (copy) => {
    if (await confirm(copy)) return;
    throw new UnconfirmedError(`what was assembled at ${copy.location} was not to take its place`);
  };
}

async function findManifest(copies: readonly StoredCheckpoint[], digest: Digest): Promise<StoredManifest | null> {
  for (const copy of copies) {
    const found = await readStoredManifest(copy, digest);
    if (found !== null) return found;
  }
  return null;
}

/** Those copies of a file that have its size. */
async function openCopies(copies: readonly StoredCheckpoint[], { path, bytes }: ManifestFile) {
  const opened: Copy[] = [];
  const stack = new AsyncDisposableStack();
  for (const copy of copies) {
    const file = await openOrNull(copy, path);
    if (file === null) continue;
    stack.use(file);
    if (file.bytes === bytes) opened.push({ location: copy.location, file });
  }
  return { copies: opened, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

async function openOrNull(copy: StoredCheckpoint, path: string) {
  try {
    return await copy.open(path);
  } catch (error) {
    if (error instanceof DamagedFileError) return null;
    throw error;
  }
}

async function* counted(chunks: AsyncIterable<Uint8Array>, onBytes: ((bytes: number) => void) | undefined) {
  for await (const chunk of chunks) {
    yield chunk;
    onBytes?.(chunk.byteLength);
  }
}
