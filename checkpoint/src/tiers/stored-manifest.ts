import type { Digest } from "../contract/digest.ts";
import { manifestName } from "../file-path.ts";
import { limits } from "../limits.ts";
import { InvalidManifestError, type Manifest, parseManifest } from "../manifest.ts";
import { DamagedFileError, type StoredCheckpoint } from "../store/store.ts";

/** A manifest with its very bytes: members that this release does not know are kept when it is copied. */
export type StoredManifest = Readonly<{ manifest: Manifest; text: Uint8Array }>;

/** The manifest of that digest in a copy of a checkpoint; null where the copy has none, a damaged one or another. */
export async function readStoredManifest(copy: StoredCheckpoint, digest: Digest): Promise<StoredManifest | null> {
  try {
    const text = await readWhole(copy);
    if (text === null) return null;
    const manifest = parseManifest(text);
    return manifest.digest === digest ? { manifest, text } : null;
  } catch (error) {
    if (error instanceof InvalidManifestError || error instanceof DamagedFileError) return null;
    throw error;
  }
}

async function readWhole(copy: StoredCheckpoint): Promise<Uint8Array | null> {
  await using file = await copy.open(manifestName);
  if (file === null || file.bytes > limits.manifestBytes) return null;
  const bytes = new Uint8Array(file.bytes);
  return (await file.read(bytes, 0)) === bytes.byteLength ? bytes : null;
}
