import { preferredAlgorithm } from "./hash.ts";
import { formatVersion, type Manifest, type ManifestFile, manifestBytes } from "./manifest.ts";
import { chooseChunkBytes } from "./seal-file.ts";

/** What is known of a checkpoint before a byte of it is read. */
type Planned = Omit<Manifest, "format" | "files" | "totals" | "digest"> &
  Readonly<{ files: readonly Pick<ManifestFile, "path" | "kind" | "bytes">[] }>;

/** A digest of a chunk in quotes, and the comma after it. */
const chunkDigestBytes = 67;

/**
 * How many bytes the manifest will have, or a worker's part of it: digests are all of one length, so that is known before
 * there are any.
 */
export function manifestSize({ files, ...planned }: Planned): number {
  const algorithm = preferredAlgorithm();
  const digest = `${algorithm}:${"0".repeat(64)}`;
  const chunkBytes = chooseChunkBytes(
    files.map(({ bytes }) => bytes),
    { workers: planned.workers ?? 1 },
  );
  const totals = { files: files.length, bytes: files.reduce((sum, { bytes }) => sum + bytes, 0) };
  const withoutChunks = files.map(({ path, kind, bytes }) => {
    return { path, kind, bytes, algorithm, digest, chunkBytes, chunks: [] };
  });
  const text = manifestBytes({ ...planned, format: formatVersion, files: withoutChunks, totals, digest });
  return files.reduce((sum, { bytes }) => {
    const chunks = Math.ceil(bytes / chunkBytes);
    return sum + Math.max(0, chunks * chunkDigestBytes - 1);
  }, text.byteLength);
}
