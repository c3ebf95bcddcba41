import { withBuffer } from "./buffer-pool.ts";
import type { Digest } from "./contract/digest.ts";
import { directoryName } from "./directory-name.ts";
import { manifestName } from "./file-path.ts";
import { createHasher } from "./hash.ts";
import { limits } from "./limits.ts";
import {
  InvalidManifestError,
  type Manifest,
  type ManifestFile,
  parseManifest,
  UnknownFormatError,
} from "./manifest.ts";
import { InvalidTensorsError } from "./safetensors/format.ts";
import { checkTensors } from "./safetensors/read.ts";
import { DamagedFileError, type Store, type StoredCheckpoint, type StoredFile } from "./store/store.ts";

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

/** What a verifier says about a checkpoint's bytes; their meaning (health) is another question. */
export type Verdict =
  | Readonly<{ ok: true; manifest: Manifest; bytes: number; rereads: number }>
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

/** Reasons that a second look cannot take back: the bytes were read twice, or there is nothing to look at. */
const settled: ReadonlySet<RefusalReason> = new Set(["BytesDiffer", "Missing"]);

type Expected = Readonly<{ digest: Digest | null; directory: string }>;

/**
 * Matches every byte of a stored checkpoint to the manifest of that digest: cheap checks first (names, sizes, the
 * manifest's own digest, headers), then each chunk; what differs is read once more before it counts (I3), for a refusal
 * is for good. Throws only where nothing can be said: storage unavailable, an unknown format or algorithm, or aborted.
 */
export async function verifyCheckpoint(
  store: Store,
  expected: Expected,
  options: { signal?: AbortSignal } = {},
): Promise<Verdict> {
  const first = await verifyOnce(store, expected, options);
  if (first.ok || settled.has(first.reason)) return first;
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

async function verifyOnce(store: Store, expected: Expected, { signal }: { signal?: AbortSignal }): Promise<Verdict> {
  const checkpoint = store.checkpoint(expected.directory);
  try {
    const paths = await listFiles(checkpoint);
    const manifest = await readManifest(checkpoint, paths);
    checkIdentity(store, expected, manifest);
    checkNames(manifest, paths);
    for (const file of manifest.files) await checkCheaply(checkpoint, file);
    let rereads = 0;
    for (const file of manifest.files) rereads += await matchBytes(checkpoint, file, signal);
    return { ok: true, manifest, bytes: manifest.totals.bytes, rereads };
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
  await using file = await open(checkpoint, manifestName);
  const bytes = new Uint8Array(Math.min(file.bytes, limits.manifestBytes + 1));
  const read = await file.read(bytes, 0);
  try {
    return parseManifest(bytes.subarray(0, read));
  } catch (error) {
    // Another format is nobody's damage: the error goes up as it is, and nothing is refused for it.
    if (error instanceof InvalidManifestError && error.name === "InvalidManifestError") {
      throw new Refused("ManifestInvalid", error.message, manifestName);
    }
    throw error;
  }
}

function checkIdentity(store: Store, expected: { digest: Digest | null; directory: string }, manifest: Manifest): void {
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
  if (file.bytes !== expected.bytes) {
    const because = `${shown(expected.path)} has ${file.bytes} bytes: ${expected.bytes} named`;
    throw new Refused("SizeDiffers", because, expected.path);
  }
  if (expected.kind !== "tensors") return;
  try {
    await checkTensors(file);
  } catch (error) {
    if (!(error instanceof InvalidTensorsError)) throw error;
    throw new Refused("TensorsInvalid", `${shown(expected.path)}: ${error.message}`, expected.path);
  }
}

/** How many chunks matched only when they were read again. */
async function matchBytes(
  checkpoint: StoredCheckpoint,
  expected: ManifestFile,
  signal: AbortSignal | undefined,
): Promise<number> {
  await using file = await open(checkpoint, expected.path);
  let rereads = 0;
  for (const [index, digest] of expected.chunks.entries()) {
    const chunk = { index, digest: `${expected.algorithm}:${digest}` };
    if (await matches(file, expected, { ...chunk, signal })) continue;
    rereads += 1;
    if (await matches(file, expected, { ...chunk, signal })) continue;
    throw new Refused("BytesDiffer", `chunk ${index} of ${shown(expected.path)} does not match, twice`, expected.path);
  }
  return rereads;
}

function matches(
  file: StoredFile,
  expected: ManifestFile,
  { index, digest, signal }: { index: number; digest: string; signal: AbortSignal | undefined },
): Promise<boolean> {
  return withBuffer(async (buffer) => {
    const hasher = createHasher(expected.algorithm);
    const end = Math.min((index + 1) * expected.chunkBytes, expected.bytes);
    for (let at = index * expected.chunkBytes; at < end; ) {
      signal?.throwIfAborted();
      const piece = buffer.subarray(0, Math.min(buffer.byteLength, end - at));
      const read = await file.read(piece, at);
      if (read === 0) return false;
      hasher.update(piece.subarray(0, read));
      at += read;
    }
    return hasher.digest() === digest;
  });
}

async function open(checkpoint: StoredCheckpoint, path: string): Promise<StoredFile> {
  const file = await checkpoint.open(path);
  if (file === null) throw new Refused("FileMissing", `${shown(path)} is not there as a plain file`, path);
  return file;
}

/** Names come from strangers: quoted, and cut. */
function shown(text: string): string {
  return JSON.stringify(text).slice(0, 160);
}
