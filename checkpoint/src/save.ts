import { LentBuffers } from "./buffer-pool.ts";
import type { Digest, Metric } from "./contract/digest.ts";
import { directoryName } from "./directory-name.ts";
import type { FileSource } from "./file-source.ts";
import { brokenFilesRule } from "./files-rule.ts";
import { type Health, healthy } from "./health.ts";
import { appendRecord, FencedError } from "./log/append.ts";
import { find } from "./log/fold.ts";
import { readLog } from "./log/read.ts";
import type { LogRecord, RecordDraft } from "./log/record.ts";
import { secureRecord } from "./log/secure.ts";
import { type Manifest, type ManifestFile, manifestBytes, sealManifest } from "./manifest.ts";
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
    await commitSaved(store, request, manifest);
    const seconds = (performance.now() - started) / 1000;
    const directory = directoryName(request.step, request.attempt);
    return { manifest, directory, bytes: manifest.totals.bytes, seconds };
  } catch (error) {
    throw saveFailure(request, error);
  }
}

function checkRequest(store: Store, request: SaveRequest): void {
  if (request.runUid !== store.runUid) throw saveFailure(request, `the store is of run ${store.runUid}`);
  const broken = brokenFilesRule(request.files, { about: describeSave(request) });
  if (broken !== null) throw saveFailure(request, broken);
}

/** What the manifest says beside its files; of health what there is to say before a tensor was looked at. */
export function describeSave(request: Omit<SaveRequest, "writer">, health: Health = healthy) {
  const { runUid, attempt, step, parent, producer, time = new Date().toISOString() } = request;
  const metrics = [...request.metrics];
  return { runUid, attempt, step, ...knownEpoch(request), time, parent, metrics, health, producer };
}

/**
 * What an earlier save of this step published before its append failed, or before the append's reply was lost; null
 * where there is none. Its name is taken for good, so without this the step could never be committed (I4). The bytes
 * are matched first: whoever wrote them may have been told of an error.
 */
export async function leftComplete(store: Store, request: Saved): Promise<Manifest | null> {
  const directory = directoryName(request.step, request.attempt);
  if (!(await store.names()).includes(directory)) return null;
  const options = request.signal === undefined ? {} : { signal: request.signal };
  const verdict = await verifyCheckpoint(store, { digest: null, directory }, options);
  if (!verdict.ok) throw saveFailure(request, `an earlier save left ${directory} in its place: ${verdict.message}`);
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
    const manifest = sealManifest({ ...describeSave(request, request.health), time, files });
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

/** Writes and seals every file; of a gang each worker's chunks are so large that one manifest has room for all of them. */
export async function writeFiles(
  writer: CheckpointWriter,
  { files, signal }: Pick<SaveRequest, "files" | "signal">,
  gang: { workers: number } = { workers: 1 },
): Promise<ManifestFile[]> {
  const sizes = files.map(({ bytes }) => bytes);
  const size = chooseChunkBytes(sizes, gang);
  await using buffers = new LentBuffers(buffersInUse);
  const sealed: ManifestFile[] = [];
  for (const source of files) {
    const sealer = new FileSealer(source, { chunkBytes: size, buffers });
    await writer.write(source.path, sealer.pieces(signal), source.bytes);
    sealed.push(sealer.seal());
  }
  return sealed;
}

/** What a save is told by once its files are written. */
type Saved = Pick<SaveRequest, "step" | "attempt" | "writer" | "time" | "signal">;

/** Appends the `commit` of a checkpoint that has its name, or finds that it stands, and makes sure of it. */
export async function commitSaved(store: Store, request: Saved, manifest: Manifest): Promise<void> {
  const { writer, signal, time } = request;
  const identity = { ...(writer === undefined ? {} : { writer }), ...(time === undefined ? {} : { time }) };
  const outcome = await appendRecord(store, commitOf(manifest, identity), signal === undefined ? {} : { signal });
  if (outcome.kind === "fenced") throw new FencedError(outcome.message, outcome.by);
  if (outcome.kind === "appended") return;
  // A restore of the next attempt may have found the directory first and committed it for us, or our own append stands
  // although it failed.
  if (find(outcome.state, manifest.digest) === undefined) throw saveFailure(request, outcome.message);
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

/** The error of a save that failed: one that says so already or tells of a fence as it is, another in the words of a save. */
export function saveFailure({ step, attempt }: Pick<SaveRequest, "step" | "attempt">, cause: unknown): Error {
  if (cause instanceof FencedError || cause instanceof SaveFailedError) return cause;
  const because = cause instanceof Error ? cause.message : String(cause);
  const message = `Cannot save step ${step} of attempt ${attempt} because ${because}`;
  return new SaveFailedError(message, cause instanceof Error ? { cause } : {});
}
