import { z } from "zod";
import { canonicalJson } from "./canonical-json.ts";
import {
  AttemptNumber,
  Digest,
  Epoch,
  type HashAlgorithm,
  hashAlgorithms,
  Metrics,
  Step,
  Time,
} from "./contract/digest.ts";
import { brokenPathRule, brokenPathsRule } from "./file-path.ts";
import { algorithmOf, createHasher, hashBytes, preferredAlgorithm } from "./hash.ts";
import { chunkBytes, limits } from "./limits.ts";
import { readCanonicalJson } from "./read-canonical-json.ts";
import { StrictJsonError } from "./strict-json.ts";

/** The major version of the format that this program writes, and the only one that it reads. */
export const formatVersion = 1;

/** `tensors`: safetensors. `json`: JSON text. `opaque`: another framework's file, kept and verified, never opened. */
export const FileKind = z.enum(["tensors", "json", "opaque"]);
export type FileKind = z.infer<typeof FileKind>;

const Hex = z.string().regex(/^[0-9a-f]{64}$/, "must be 64 lower-case hex digits");

/** One file. `digest` covers the chunk digests, so that chunks can be hashed in parallel and repaired one by one. */
export const ManifestFile = z
  .object({
    path: z.string().refine((path) => brokenPathRule(path) === null, {
      error: (issue) => brokenPathRule(String(issue.input)) ?? "must be a file name",
    }),
    kind: FileKind,
    bytes: z.int().min(0),
    algorithm: z.enum(hashAlgorithms),
    digest: Digest,
    chunkBytes: z.int().min(chunkBytes).multipleOf(chunkBytes),
    chunks: z.array(Hex).max(limits.chunks),
  })
  .refine(
    (file) => file.chunks.length === Math.ceil(file.bytes / file.chunkBytes),
    "must have a digest for each chunk",
  );
export type ManifestFile = z.infer<typeof ManifestFile>;

const Names = z.array(z.string().min(1).max(256)).max(limits.nonFiniteNames);

/** Tensors that hold NaN or infinity; `unexpected` are those that did not in the parent. Lists may be cut, counts not. */
export const Health = z.object({
  nonFinite: Names,
  nonFiniteTensors: z.int().min(0),
  unexpected: Names,
  unexpectedTensors: z.int().min(0),
});

/** `MANIFEST.json`: what a checkpoint is, and the digest of each of its bytes. */
export const Manifest = z.object({
  format: z.literal(formatVersion),
  runUid: z.string().min(1).max(63),
  attempt: AttemptNumber,
  step: Step,
  /** Absent where the program that saved knows none. */
  epoch: Epoch.optional(),
  /** The checkpoint that the attempt resumed from. */
  parent: Digest.nullable(),
  /** How many workers saved it together, each the files below the directory of its number; absent where one did alone. */
  workers: z.int().min(1).max(limits.workers).optional(),
  /** Sorted by path. */
  files: z.array(ManifestFile).max(limits.files),
  totals: z.object({ files: z.int().min(0), bytes: z.int().min(0) }),
  metrics: Metrics,
  health: Health,
  /** The program that wrote it. */
  producer: z.object({ name: z.string().min(1).max(63), version: z.string().min(1).max(63) }),
  /** When the save began; for people only (I8). */
  time: Time,
  /** The digest of the canonical text of everything above; it names the checkpoint everywhere. */
  digest: Digest,
});
export type Manifest = z.infer<typeof Manifest>;

/** Everything that a manifest says except its own digest, and the totals that follow from the files. */
export type ManifestDraft = Omit<Manifest, "format" | "totals" | "digest">;

/** Bytes that are not a manifest of this format; `message` names the rule. */
export class InvalidManifestError extends Error {
  override readonly name: string = "InvalidManifestError";
}

/** A manifest of another major version: nothing is wrong with it, but this program cannot read it. */
export class UnknownFormatError extends InvalidManifestError {
  override readonly name = "UnknownFormatError";
}

/** Completes a draft: sorts the files, sums them up, and names the whole by its digest. */
export function sealManifest(draft: ManifestDraft, algorithm: HashAlgorithm = preferredAlgorithm()): Manifest {
  return parseManifest(sealedBytes(draft, algorithm));
}

/** The bytes of a manifest, or of what is sealed like one: sorted, summed up, with its own digest. */
export function sealedBytes(draft: Pick<ManifestDraft, "files">, algorithm: HashAlgorithm): Uint8Array {
  const files = [...draft.files].sort((a, b) => (a.path < b.path ? -1 : 1));
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const unsealed = { ...draft, format: formatVersion, files, totals: { files: files.length, bytes } };
  return manifestBytes({ ...unsealed, digest: digestOf(unsealed, algorithm) });
}

/** The bytes of `MANIFEST.json`: canonical JSON, nothing before or after it. */
export function manifestBytes(manifest: object): Uint8Array {
  return new TextEncoder().encode(canonicalJson(manifest));
}

/**
 * Reads the bytes of a `MANIFEST.json`. They must be the one canonical text and match the digest inside, so any
 * changed bit is refused here. Members that a later minor version added are covered by the digest and ignored.
 */
export function parseManifest(bytes: Uint8Array): Manifest {
  return parseSealed(bytes, Manifest);
}

/** Reads what is sealed like a manifest and follows another schema, by the same rules. */
export function parseSealed<T extends Pick<Manifest, "files" | "totals">>(bytes: Uint8Array, schema: z.ZodType<T>): T {
  if (bytes.byteLength > limits.manifestBytes) {
    throw invalid(`it may have ${limits.manifestBytes} bytes`, `${bytes.byteLength}`);
  }
  const raw = parseCanonical(bytes);
  checkSeal(raw);
  if (raw.format !== formatVersion && Number.isSafeInteger(raw.format)) {
    throw new UnknownFormatError(
      `Cannot read the manifest because its format is ${raw.format} and this program reads ${formatVersion}: use a release that knows it`,
    );
  }
  const parsed = schema.safeParse(raw);
  if (!parsed.success) throw invalid("it must follow the schema", z.prettifyError(parsed.error));
  checkFiles(parsed.data);
  return parsed.data;
}

/** The digest of a file: the hash of its chunks' digests, one after the other. */
export function fileDigest(file: Pick<ManifestFile, "algorithm" | "chunks">): Digest {
  const hasher = createHasher(file.algorithm);
  hasher.update(Buffer.from(file.chunks.join(""), "hex"));
  return hasher.digest();
}

function digestOf(unsealed: object, algorithm: HashAlgorithm): Digest {
  return hashBytes(manifestBytes(unsealed), algorithm);
}

function parseCanonical(bytes: Uint8Array): Record<string, unknown> {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    const read = readCanonicalJson(text);
    if (read === null) throw invalid("its text must be canonical", text);
    const raw = read.value;
    if (typeof raw !== "object" || raw === null || Array.isArray(raw)) throw invalid("it must be an object", text);
    return { ...raw };
  } catch (error) {
    if (error instanceof StrictJsonError || error instanceof TypeError) {
      throw new InvalidManifestError(`Cannot read the manifest because it must be canonical JSON: ${error.message}`, {
        cause: error,
      });
    }
    throw error;
  }
}

/** Every version seals its manifests the same way: what another version wrote is told from damage by that. */
function checkSeal({ digest: said, ...unsealed }: Record<string, unknown>): void {
  const digest = Digest.safeParse(said);
  if (!digest.success) throw invalid("it must follow the schema", z.prettifyError(digest.error));
  if (digestOf(unsealed, algorithmOf(digest.data)) !== digest.data) {
    throw invalid("its digest must match its text", digest.data);
  }
}

/** What no schema can say of one member alone. */
function checkFiles({ files, totals }: Pick<Manifest, "files" | "totals">): void {
  const broken = brokenPathsRule(files.map(({ path }) => path));
  if (broken !== null) throw invalid(broken, "files");
  for (const [index, file] of files.entries()) {
    const before = files[index - 1];
    if (before !== undefined && before.path >= file.path) throw invalid("files must be sorted by path", file.path);
    if (algorithmOf(file.digest) !== file.algorithm)
      throw invalid("a digest must be of the file's algorithm", file.path);
    if (fileDigest(file) !== file.digest) throw invalid("a file's digest must match its chunks' digests", file.path);
  }
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  if (totals.files !== files.length || totals.bytes !== bytes) {
    throw invalid("totals must be the files' sum", JSON.stringify(totals));
  }
}

function invalid(rule: string, seen: string): InvalidManifestError {
  return new InvalidManifestError(`Cannot read the manifest because ${rule}: ${seen.slice(0, 300)}`);
}
