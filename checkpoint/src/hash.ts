import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import type { Digest, HashAlgorithm } from "./contract/digest.ts";

/** Hashes bytes as they come; `digest` ends it. */
export interface Hasher {
  readonly algorithm: HashAlgorithm;
  update(bytes: Uint8Array): void;
  digest(): Digest;
}

/** The bytes name an algorithm that this machine cannot compute: nothing can be said about them. */
export class HashUnavailableError extends Error {
  override readonly name = "HashUnavailableError";
}

/**
 * How much is hashed at once by those who also copy it: few enough bytes that they stay in a core's own cache between
 * the two, which makes both together half as fast again (2.0 GB/s instead of 1.4 on a busy 2-core machine).
 */
export const hashStrideBytes = 128 * 1024;

type Blake3 = { update(bytes: Uint8Array): unknown; digest(format: "hex"): string };
type Blake3Package = { readonly Blake3Hasher: new () => Blake3 };

const blake3 = loadBlake3();

/** The algorithm that new checkpoints use here: BLAKE3, or SHA-256 where the native package is missing. */
export function preferredAlgorithm(): HashAlgorithm {
  return "module" in blake3 ? "blake3" : "sha256";
}

/** A hasher of the algorithm, by default the preferred one. */
export function createHasher(algorithm: HashAlgorithm = preferredAlgorithm()): Hasher {
  return algorithm === "blake3" ? blake3Hasher() : sha256Hasher();
}

/** Digest of a few bytes at once. */
export function hashBytes(bytes: Uint8Array, algorithm: HashAlgorithm = preferredAlgorithm()): Digest {
  const hasher = createHasher(algorithm);
  hasher.update(bytes);
  return hasher.digest();
}

/** The algorithm that a digest names. */
export function algorithmOf(digest: Digest): HashAlgorithm {
  return digest.startsWith("blake3:") ? "blake3" : "sha256";
}

function blake3Hasher(): Hasher {
  if (!("module" in blake3)) {
    throw new HashUnavailableError(
      "Cannot hash with BLAKE3 because the native package @napi-rs/blake-hash did not load: install it for this platform",
      { cause: blake3.error },
    );
  }
  const native = new blake3.module.Blake3Hasher();
  return {
    algorithm: "blake3",
    update: (bytes) => void native.update(bytes),
    digest: () => `blake3:${native.digest("hex")}`,
  };
}

function sha256Hasher(): Hasher {
  const hash = createHash("sha256");
  return {
    algorithm: "sha256",
    update: (bytes) => void hash.update(bytes),
    digest: () => `sha256:${hash.digest("hex")}`,
  };
}

/** Loaded by name at run time, so that a bundle leaves the native package outside and lives without it. */
function loadBlake3(): { readonly module: Blake3Package } | { readonly error: unknown } {
  try {
    const loaded: unknown = createRequire(import.meta.url)("@napi-rs/blake-hash");
    return isBlake3Package(loaded) ? { module: loaded } : { error: new TypeError("the package has no Blake3Hasher") };
  } catch (error) {
    return { error };
  }
}

function isBlake3Package(loaded: unknown): loaded is Blake3Package {
  return typeof loaded === "object" && loaded !== null && "Blake3Hasher" in loaded;
}
