/** What a reader accepts; every limit is checked before anything of that size is allocated. FORMAT.md states them. */
export const limits = {
  manifestBytes: 8 * 1024 * 1024,
  recordBytes: 4 * 1024 * 1024,
  tensorHeaderBytes: 8 * 1024 * 1024,
  /** Of a file of kind `json`, which becomes one string when it is loaded. */
  jsonBytes: 256 * 1024 * 1024,
  files: 10_000,
  /** Of a gang, whose shards share the room of one manifest. */
  workers: 1_000,
  pathBytes: 512,
  segmentBytes: 255,
  chunks: 14_000,
  tensorDimensions: 16,
  /** Names of non-finite tensors that a manifest lists; more are only counted. */
  nonFiniteNames: 1_000,
  nonFiniteNameLength: 256,
  /** Of each list of them as JSON: with the digests of the most chunks that a manifest may have, both fit into it. */
  nonFiniteBytes: 32 * 1024,
} as const;

/** Files are hashed in chunks of this size, or of a multiple where they would be too many for a manifest. */
export const chunkBytes = 8 * 1024 * 1024;
