import { LentBuffers } from "./buffer-pool.ts";
import type { Digest, Metric } from "./contract/digest.ts";
import { directoryName } from "./directory-name.ts";
import { brokenPathRule, brokenPathsRule } from "./file-path.ts";
import type { FileSource } from "./file-source.ts";
import { type Health, healthy } from "./health.ts";
import { limits } from "./limits.ts";
import { appendRecord, FencedError } from "./log/append.ts";
import { find } from "./log/fold.ts";
import { readLog } from "./log/read.ts";
import type { LogRecord, RecordDraft } from "./log/record.ts";
import { secureRecord } from "./log/secure.ts";
import { type Manifest, type ManifestFile, manifestBytes, sealManifest } from "./manifest.ts";
import { manifestSize } from "./manifest-size.ts";
import { chooseChunkBytes, FileSealer } from "./seal-file.ts";
import type { CheckpointWriter, Store } from "./store/store.ts";
import { verifyCheckpoint } from "./verify.ts";

/** What is to be saved, and on whose behalf. */
export type SaveRequest = Readonly<{
  runUid: string;
  attempt: number;
  step: number;
  /** Passes over the data so far; absent where the caller counts none. */
  epoch?: number;
  /** Digest of the checkpoint that this attempt resumed from. */
  parent: Digest | null;
  files: readonly FileSource[];
  metrics: readonly Metric[];
  health: Health;
  producer: Manifest["producer"];
  /** When the save began, RFC 3339; now where absent. For people only. */
  time?: string;
  /** Unique id of the `commit`; made where absent. */
  writer?: string;
  signal?: AbortSignal;
}>;

/** A checkpoint that stands in the log. */
export type SavedCheckpoint = Readonly<{
  manifest: Manifest;
  /** Name of its directory under `data/`. */
  directory: string;
  bytes: number;
  seconds: number;
}>;

/** The save was abandoned and left nothing, or a complete directory without a record; the next save of its step goes on from that. */
export class SaveFailedError extends Error {
  override readonly name = "SaveFailedError";
}

/**
 * Writes a checkpoint and commits it: when this returns, every byte is durable and the `commit` stands in the log; when
 * it throws, readers see what they saw before (I3). Throws {@link FencedError} when a newer attempt holds the log
 * (stop writing for good), {@link SaveFailedError} for anything else (nothing is tried twice: save again later). Where
 * this attempt has a complete directory of that step already, the save finishes it and returns what it holds.
 */
export async function saveCheckpoint(store: Store, request: SaveRequest): Promise<SavedCheckpoint> {
  const started = performance.now();
  try {
    checkRequest(store, request);
    const manifest = (await leftComplete(store, request)) ?? (await writeAll(store, request));
    await commit(store, request, manifest);
    const seconds = (performance.now() - started) / 1000;
    const directory = directoryName(request.step, request.attempt);
    return { manifest, directory, bytes: manifest.totals.bytes, seconds };
  } catch (error) {
    if (error instanceof FencedError || error instanceof SaveFailedError) throw error;
    throw failed(request, error instanceof Error ? error.message : String(error), error);
  }
}

function checkRequest(store: Store, request: SaveRequest): void {
  if (request.runUid !== store.runUid) throw failed(request, `the store is of run ${store.runUid}`);
  const paths = request.files.map(({ path }) => path);
  if (paths.length === 0) throw failed(request, "a checkpoint has at least one file");
  if (paths.length > limits.files) throw failed(request, `a checkpoint has at most ${limits.files} files`);
  for (const path of paths) {
    const broken = brokenPathRule(path);
    if (broken !== null) throw failed(request, `${broken}: ${JSON.stringify(path).slice(0, 200)}`);
  }
  const broken = brokenPathsRule(paths);
  if (broken !== null) throw failed(request, broken);
  for (const { path, kind, bytes } of request.files) {
    if (kind !== "json" || bytes <= limits.jsonBytes) continue;
    throw failed(request, `a file of JSON has at most ${limits.jsonBytes} bytes, and ${path} has ${bytes}`);
  }
  // Its health may be known only when every tensor has been looked through: what it may take at most is left free.
  const size = manifestSize({ ...describe(request, healthy), files: request.files }) + 2 * limits.nonFiniteBytes;
  if (size <= limits.manifestBytes) return;
  const most = `a manifest has at most ${limits.manifestBytes} bytes, and that of these ${paths.length} files may have ${size}`;
  throw failed(request, `${most}: save fewer files, or under shorter names`);
}

/** What the manifest says beside its files. */
function describe(request: SaveRequest, health: Health) {
  const { runUid, attempt, step, parent, producer, time = new Date().toISOString() } = request;
  const metrics = [...request.metrics];
  return { runUid, attempt, step, ...knownEpoch(request), time, parent, metrics, health, producer };
}

/**
 * What an earlier save of this step published before its append failed, or before the append's reply was lost; null
 * where there is none. Its name is taken for good, so without this the step could never be committed (I4). The bytes
 * are matched first: whoever wrote them may have been told of an error.
 */
async function leftComplete(store: Store, request: SaveRequest): Promise<Manifest | null> {
  const directory = directoryName(request.step, request.attempt);
  if (!(await store.names()).includes(directory)) return null;
  const options = request.signal === undefined ? {} : { signal: request.signal };
  const verdict = await verifyCheckpoint(store, { digest: null, directory }, options);
  if (!verdict.ok) throw failed(request, `an earlier save left ${directory} in its place: ${verdict.message}`);
  // One that is committed already was settled before; taking its name away, even for a moment, would mislead a reader.
  if (find((await readLog(store, options)).state, verdict.manifest.digest) === undefined) await store.settle(directory);
  return verdict.manifest;
}

async function writeAll(store: Store, request: SaveRequest): Promise<Manifest> {
  const time = request.time ?? new Date().toISOString();
  const writer = await store.begin(request);
  try {
    const files = await writeFiles(writer, request);
    // Only now: a request that looks through its tensors while they are written knows its health when they are.
    const manifest = sealManifest({ ...describe(request, request.health), time, files });
    request.signal?.throwIfAborted();
    await writer.publish(manifestBytes(manifest));
    return manifest;
  } catch (error) {
    await writer.abandon();
    throw error;
  }
}

/** One buffer that is filled while the others are on their way to the disk. */
const buffersInUse = 4;

async function writeFiles(writer: CheckpointWriter, { files, signal }: SaveRequest): Promise<ManifestFile[]> {
  const size = chooseChunkBytes(files.map(({ bytes }) => bytes));
  await using buffers = new LentBuffers(buffersInUse);
  const sealed: ManifestFile[] = [];
  for (const source of files) {
    const sealer = new FileSealer(source, { chunkBytes: size, buffers });
    await writer.write(source.path, sealer.pieces(signal), source.bytes);
    sealed.push(sealer.seal());
  }
  return sealed;
}

async function commit(store: Store, request: SaveRequest, manifest: Manifest): Promise<void> {
  const { writer, signal, time } = request;
  const identity = { ...(writer === undefined ? {} : { writer }), ...(time === undefined ? {} : { time }) };
  const outcome = await appendRecord(store, commitOf(manifest, identity), signal === undefined ? {} : { signal });
  if (outcome.kind === "fenced") throw new FencedError(outcome.message, outcome.by);
  if (outcome.kind === "appended") return;
  // A restore of the next attempt may have found the directory first and committed it for us, or our own append stands
  // although it failed.
  if (find(outcome.state, manifest.digest) === undefined) throw failed(request, outcome.message);
  const isOurs = (record: LogRecord) => record.kind === "commit" && record.manifest === manifest.digest;
  await secureRecord(store, isOurs, signal === undefined ? {} : { signal });
}

/** The `commit` of a checkpoint, as its writer or who adopts it appends it. */
export function commitOf(manifest: Manifest, identity: { writer?: string; time?: string } = {}): RecordDraft {
  const { attempt, step, digest, totals, metrics, health } = manifest;
  return {
    kind: "commit",
    attempt,
    step,
    ...knownEpoch(manifest),
    manifest: digest,
    directory: directoryName(step, attempt),
    bytes: totals.bytes,
    metrics,
    unhealthy: health.unexpectedTensors > 0,
    ...identity,
  };
}

function knownEpoch({ epoch }: { epoch?: number | undefined }): { epoch?: number } {
  return epoch === undefined ? {} : { epoch };
}

function failed({ step, attempt }: SaveRequest, because: string, cause?: unknown): SaveFailedError {
  return new SaveFailedError(`Cannot save step ${step} of attempt ${attempt} because ${because}`, { cause });
}
