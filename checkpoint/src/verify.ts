import { LentBuffers } from "./buffer-pool.ts";
import type { Digest } from "./contract/digest.ts";
import { directoryName } from "./directory-name.ts";
import { manifestName } from "./file-path.ts";
import { createHasher } from "./hash.ts";
import { chunkBytes, limits } from "./limits.ts";
import {
  InvalidManifestError,
  type Manifest,
  type ManifestFile,
  parseManifest,
  UnknownFormatError,
} from "./manifest.ts";
import { readAhead, readPiece } from "./read-ahead.ts";
import { InvalidTensorsError } from "./safetensors/format.ts";
import { checkTensors } from "./safetensors/read.ts";
import { DamagedFileError, type ReadFrom, type Store, type StoredCheckpoint, type StoredFile } from "./store/store.ts";

/** Why a checkpoint was refused, as a stable word. */
export type RefusalReason =
  | "Missing"
  | "ManifestMissing"
  | "ManifestInvalid"
  | "ManifestDiffers"
  | "WrongPlace"
  | "FileMissing"
  | "FileExtra"
  | "NotAFile"
  | "SizeDiffers"
  | "TensorsInvalid"
  | "BytesDiffer"
  | "Unreadable";

/**
 * What a verifier says about a checkpoint's bytes; their meaning (health) is another question. `cached` says why some of
 * them may have come from this machine's page cache and not from the device; absent where all did.
 */
export type Verdict =
  | Readonly<{ ok: true; manifest: Manifest; bytes: number; rereads: number; cached?: string }>
  | Readonly<{ ok: false; reason: RefusalReason; message: string; file?: string }>;

class Refused extends Error {
  readonly reason: RefusalReason;
  readonly file: string | undefined;

  constructor(reason: RefusalReason, because: string, file?: string) {
    super(because);
    this.reason = reason;
    this.file = file;
  }
}

type Expected = Readonly<{ digest: Digest | null; directory: string }>;

/** What is read of a tier: whose checkpoints these are, and where one lies. */
type Shelf = Pick<Store, "runUid" | "checkpoint">;

/**
 * Matches every byte of a stored checkpoint to the manifest of that digest: cheap checks first (names, sizes, the
 * manifest's own digest, headers), then each chunk; what differs is read once more before it counts (I3), for a refusal
 * is for good. Throws only where nothing can be said: storage unavailable, an unknown format or algorithm, or aborted.
 */
export async function verifyCheckpoint(
  store: Shelf,
  expected: Expected,
  options: { signal?: AbortSignal } = {},
): Promise<Verdict> {
  const first = await verifyOnce(store, expected, options);
  if (first.ok || first.reason === "BytesDiffer") return first;
  // Also what is missing: a name that is given anew is away for a moment.
  const second = await verifyOnce(store, expected, options);
  return second.ok ? { ...second, rereads: second.rereads + 1 } : second;
}

/** Whether the directory's manifest is of a format that this program does not know, and nothing else is wrong with it. */
export async function hasUnknownFormat(store: Store, directory: string): Promise<boolean> {
  try {
    await readManifest(store.checkpoint(directory), new Set([manifestName]));
    return false;
  } catch (error) {
    if (error instanceof Refused || error instanceof DamagedFileError) return false;
    if (error instanceof UnknownFormatError) return true;
    throw error;
  }
}

async function verifyOnce(store: Shelf, expected: Expected, { signal }: { signal?: AbortSignal }): Promise<Verdict> {
  const checkpoint = store.checkpoint(expected.directory);
  try {
    const paths = await listFiles(checkpoint);
    const manifest = await readManifest(checkpoint, paths);
    checkIdentity(store, expected, manifest);
    checkNames(manifest, paths);
    for (const file of manifest.files) await checkCheaply(checkpoint, file);
    const matched: Matched[] = [];
    for (const file of manifest.files) matched.push(await matchBytes(checkpoint, file, signal));
    const rereads = matched.reduce((sum, file) => sum + file.rereads, 0);
    const cached = matched.find((file) => file.cached !== undefined)?.cached;
    const note = cached === undefined ? {} : { cached };
    return { ok: true, manifest, bytes: manifest.totals.bytes, rereads, ...note };
  } catch (error) {
    if (error instanceof Refused) return verdict(checkpoint, error);
    if (error instanceof DamagedFileError) return verdict(checkpoint, new Refused("Unreadable", error.message));
    throw error;
  }
}

function verdict(checkpoint: StoredCheckpoint, { reason, message, file }: Refused): Verdict {
  const text = `Cannot accept ${checkpoint.location} because ${message}`.slice(0, 512);
  return { ok: false, reason, message: text, ...(file === undefined ? {} : { file }) };
}

/** Names of all plain files; anything but files and directories is refused before it is opened. */
async function listFiles(checkpoint: StoredCheckpoint): Promise<Set<string>> {
  const maxEntries = 2 * limits.files;
  const entries = await checkpoint.entries(maxEntries);
  if (entries === null) throw new Refused("Missing", "it is not there");
  if (entries.length > maxEntries) throw new Refused("FileExtra", `it has more than ${maxEntries} entries`);
  for (const { path, kind } of entries) {
    if (kind === "other") throw new Refused("NotAFile", `${shown(path)} is neither a file nor a directory`, path);
  }
  return new Set(entries.filter(({ kind }) => kind === "file").map(({ path }) => path));
}

async function readManifest(checkpoint: StoredCheckpoint, paths: Set<string>): Promise<Manifest> {
  if (!paths.has(manifestName)) throw new Refused("ManifestMissing", `it has no ${manifestName}`, manifestName);
  await using file = await open(checkpoint, manifestName, "Device");
  const text = await readStart(file, limits.manifestBytes + 1);
  try {
    return parseManifest(text);
  } catch (error) {
    // Another format is nobody's damage: the error goes up as it is, and nothing is refused for it.
    if (error instanceof InvalidManifestError && error.name === "InvalidManifestError") {
      throw new Refused("ManifestInvalid", error.message, manifestName);
    }
    throw error;
  }
}

/**
 * The first bytes of a file, in whole pages so that they come from the device: this machine's memory may hold what that has
 * lost, and the trainer, which reads the device, or another node would find it damaged again and again.
 */
async function readStart(file: StoredFile, mostBytes: number): Promise<Uint8Array> {
  const text = new Uint8Array(Math.min(file.bytes, mostBytes));
  await using buffers = new LentBuffers(1);
  const buffer = await buffers.next();
  for (let at = 0; at < text.byteLength; at += buffer.byteLength) {
    const piece = (await readPiece(file, buffer, at)).subarray(0, text.byteLength - at);
    text.set(piece, at);
    if (piece.byteLength < Math.min(buffer.byteLength, text.byteLength - at))
      return text.subarray(0, at + piece.byteLength);
  }
  return text;
}

function checkIdentity(store: Shelf, expected: { digest: Digest | null; directory: string }, manifest: Manifest): void {
  if (expected.digest !== null && manifest.digest !== expected.digest) {
    throw new Refused(
      "ManifestDiffers",
      `its manifest is ${manifest.digest}: ${expected.digest} expected`,
      manifestName,
    );
  }
  if (manifest.runUid !== store.runUid) {
    throw new Refused("WrongPlace", `it belongs to run ${shown(manifest.runUid)}: ${store.runUid} expected`);
  }
  const name = directoryName(manifest.step, manifest.attempt);
  if (name !== expected.directory) throw new Refused("WrongPlace", `its manifest belongs under ${name}`);
}

function checkNames(manifest: Manifest, paths: Set<string>): void {
  const named = new Set(manifest.files.map(({ path }) => path));
  for (const path of named) {
    if (!paths.has(path)) throw new Refused("FileMissing", `${shown(path)} is not there`, path);
  }
  for (const path of paths) {
    if (path === manifestName || named.has(path)) continue;
    throw new Refused("FileExtra", `its manifest does not name ${shown(path)}`, path);
  }
}

async function checkCheaply(checkpoint: StoredCheckpoint, expected: ManifestFile): Promise<void> {
  await using file = await open(checkpoint, expected.path);
  checkSize(expected, file.bytes);
  if (expected.kind !== "tensors") return;
  try {
    await checkTensors(file);
  } catch (error) {
    if (!(error instanceof InvalidTensorsError)) throw error;
    throw new Refused("TensorsInvalid", `${shown(expected.path)}: ${error.message}`, expected.path);
  }
}

function checkSize({ path, bytes }: ManifestFile, found: number): void {
  if (found === bytes) return;
  throw new Refused("SizeDiffers", `${shown(path)} has ${found} bytes: ${bytes} named`, path);
}

/** Matches every chunk of a file, read from where it is stored. */
async function matchBytes(
  checkpoint: StoredCheckpoint,
  expected: ManifestFile,
  signal?: AbortSignal,
): Promise<Matched> {
  await using file = await open(checkpoint, expected.path, "Device");
  // It is another look at the file than the cheap one: whoever cut it in between left no chunk that differs.
  checkSize(expected, file.bytes);
  let [at, rereads] = [0, 0];
  let hasher = createHasher(expected.algorithm);
  for await (const piece of readAhead(file, { signal })) {
    hasher.update(piece);
    at = Math.min(at + chunkBytes, expected.bytes);
    if (at % expected.chunkBytes !== 0 && at !== expected.bytes) continue;
    const index = Math.ceil(at / expected.chunkBytes) - 1;
    const matches = (digest: Digest) => digest === `${expected.algorithm}:${expected.chunks[index]}`;
    if (!matches(hasher.digest())) {
      rereads += 1;
      if (!matches(await chunkDigest(file, expected, { index, signal }))) {
        const because = `chunk ${index} of ${shown(expected.path)} does not match, twice`;
        throw new Refused("BytesDiffer", because, expected.path);
      }
    }
    hasher = createHasher(expected.algorithm);
  }
  return { rereads, cached: file.cached };
}

/** How many chunks matched only when they were read again, and why some bytes may not have come from the device. */
type Matched = Readonly<{ rereads: number; cached: string | undefined }>;

/** The digest of one chunk, read once more. */
async function chunkDigest(
  file: StoredFile,
  expected: ManifestFile,
  { index, signal }: { index: number; signal: AbortSignal | undefined },
): Promise<Digest> {
  await using buffers = new LentBuffers(1);
  const buffer = await buffers.next();
  const hasher = createHasher(expected.algorithm);
  const end = Math.min((index + 1) * expected.chunkBytes, expected.bytes);
  for (let at = index * expected.chunkBytes; at < end; at += chunkBytes) {
    signal?.throwIfAborted();
    hasher.update(await readPiece(file, buffer, at));
  }
  return hasher.digest();
}

async function open(checkpoint: StoredCheckpoint, path: string, from?: ReadFrom): Promise<StoredFile> {
  const file = await checkpoint.open(path, from);
  if (file === null) throw new Refused("FileMissing", `${shown(path)} is not there as a plain file`, path);
  return file;
}

/** Names come from strangers: quoted, and cut. */
function shown(text: string): string {
  return JSON.stringify(text).slice(0, 160);
}
