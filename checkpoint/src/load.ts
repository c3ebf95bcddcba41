import { join } from "node:path";
import { BytesDifferError, ChunkedReader } from "./chunked-reader.ts";
import type { Digest } from "./contract/digest.ts";
import { manifestName } from "./file-path.ts";
import { limits } from "./limits.ts";
import { InvalidManifestError, type Manifest, type ManifestFile, parseManifest } from "./manifest.ts";
import { readTensors, type Tensors } from "./safetensors/read.ts";
import { openPlain } from "./store/directory-files.ts";
import { parseStrictJson } from "./strict-json.ts";

/** A checkpoint in a directory, whose files are matched to the manifest while they are loaded (I2). */
export interface LoadedCheckpoint {
  readonly manifest: Manifest;
  tensors(path: string): Promise<Tensors>;
  json(path: string): Promise<unknown>;
}

/**
 * Opens the checkpoint that a restore handed over. Throws `BytesDifferError` unless its manifest is the one of that
 * digest; the files follow as they are asked for. `signal` ends the reading of any of them, with its reason.
 */
export async function loadCheckpoint(
  directory: string,
  { digest, signal }: { digest: Digest; signal?: AbortSignal },
): Promise<LoadedCheckpoint> {
  const manifest = await readManifest(directory, signal);
  if (manifest.digest !== digest) {
    throw new BytesDifferError(
      `Cannot load ${directory} because it is checkpoint ${manifest.digest}: ${digest} wanted`,
    );
  }
  const fileOf = (path: string) => {
    const file = manifest.files.find((named) => named.path === path);
    if (file === undefined) throw new BytesDifferError(`Cannot load ${path} because ${digest} names no such file`);
    return file;
  };
  return {
    manifest,
    tensors: (path) => readTensors(join(directory, path), { expected: fileOf(path), signal }),
    json: async (path) => {
      const bytes = await readWhole(join(directory, path), {
        maxBytes: limits.jsonBytes,
        expected: fileOf(path),
        signal,
      });
      return parseStrictJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    },
  };
}

async function readManifest(directory: string, signal: AbortSignal | undefined): Promise<Manifest> {
  const path = join(directory, manifestName);
  const text = await readWhole(path, { maxBytes: limits.manifestBytes, expected: null, signal });
  try {
    return parseManifest(text);
  } catch (error) {
    // It was of a known format when it was verified: what cannot be read now is damage.
    if (!(error instanceof InvalidManifestError)) throw error;
    throw new BytesDifferError(`Cannot load ${directory} because ${path} is damaged: ${error.message}`, {
      cause: error,
    });
  }
}

type Reading = { maxBytes: number; expected: ManifestFile | null; signal: AbortSignal | undefined };

async function readWhole(path: string, { maxBytes, expected, signal }: Reading): Promise<Uint8Array> {
  await using file = await openPlain(path, "Device");
  if (file === null) throw new BytesDifferError(`Cannot load ${path} because there is no plain file`);
  if (file.bytes > maxBytes) {
    throw new BytesDifferError(`Cannot load ${path} because it has more than ${maxBytes} bytes: ${file.bytes}`);
  }
  await using reader = new ChunkedReader(file, expected, { signal });
  const bytes = new Uint8Array(file.bytes);
  await reader.fill(bytes);
  reader.finish();
  return bytes;
}
