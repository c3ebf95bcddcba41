import { describe, expect, test } from "vitest";
import { canonicalJson } from "../../src/canonical-json.ts";
import { hashBytes, preferredAlgorithm } from "../../src/hash.ts";
import { healthy } from "../../src/health.ts";
import { chunkBytes } from "../../src/limits.ts";
import {
  type FileKind,
  fileDigest,
  type Manifest,
  type ManifestFile,
  manifestBytes,
  parseManifest,
  sealManifest,
} from "../../src/manifest.ts";
import { runUid } from "../fixture.ts";
import { seal } from "../seal.ts";

/** What an attacker can do who may write the volume: any text, sealed with a digest that fits it. */
function sealed(change: Record<string, unknown>): Uint8Array {
  return text(canonicalJson(seal({ ...genuine, ...change })));
}

/** What a refusal must not say of damage: that another release could read it. */
const notOfALaterVersion = /^(?!.*use a release that knows it)/s;

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

/** A file of one chunk. */
function fileOf(path: string, kind: FileKind, content: Uint8Array): ManifestFile {
  const algorithm = preferredAlgorithm();
  const chunks = [hashBytes(content).slice(algorithm.length + 1)];
  const digest = fileDigest({ algorithm, chunks });
  return { path, kind, bytes: content.byteLength, algorithm, digest, chunkBytes, chunks };
}

const genuine: Manifest = sealManifest({
  runUid,
  attempt: 1,
  step: 10,
  parent: null,
  files: [fileOf("model.safetensors", "tensors", new Uint8Array(1024)), fileOf("state.json", "json", text("{}"))],
  metrics: [{ name: "loss", value: "0.25" }],
  health: healthy,
  producer: { name: "test", version: "1.0.0" },
  time: "2026-01-01T00:00:00.000Z",
});

/** The first file with something changed. */
function file(change: Record<string, unknown>): Record<string, unknown> {
  return { files: [{ ...genuine.files[0], ...change }, ...genuine.files.slice(1)] };
}

function files(count: number): Record<string, unknown> {
  const one = genuine.files[1];
  const named = Array.from({ length: count }, (_, index) => ({ ...one, path: `f${String(index).padStart(6, "0")}` }));
  return { files: named, totals: { files: count, bytes: count * (one?.bytes ?? 0) } };
}

describe("a manifest that was made to deceive", () => {
  test("is told from the genuine one, which is read", () => {
    expect(parseManifest(manifestBytes(genuine))).toEqual(genuine);
    expect(parseManifest(sealed({}))).toEqual(genuine);
  });

  const changes: { what: string; change: () => Record<string, unknown>; message: string }[] = [
    {
      what: "a name that climbs",
      change: () => file({ path: "../../etc/passwd" }),
      message: "relative, without . or ..",
    },
    {
      what: "a name that climbs inside",
      change: () => file({ path: "a/../../b" }),
      message: "relative, without . or ..",
    },
    { what: "an absolute name", change: () => file({ path: "/etc/passwd" }), message: "relative, without . or .." },
    { what: "a backslash", change: () => file({ path: "..\\b" }), message: "no backslash" },
    { what: "a NUL", change: () => file({ path: "a\0b" }), message: "no control character" },
    { what: "a name of the protocol", change: () => file({ path: "MANIFEST.json" }), message: "the protocol's own" },
    { what: "a name that is no text", change: () => file({ path: 7 }), message: "path" },
    {
      what: "one name twice",
      change: () => ({
        files: [genuine.files[0], genuine.files[0]],
        totals: { files: 2, bytes: 2 * (genuine.files[0]?.bytes ?? 0) },
      }),
      message: "a name may appear once",
    },
    { what: "names out of order", change: () => ({ files: genuine.files.toReversed() }), message: "sorted by path" },
    { what: "a chunk too few", change: () => file({ chunks: [] }), message: "a digest for each chunk" },
    {
      what: "a chunk too many",
      change: () => file({ chunks: Array(2).fill("00".repeat(32)) }),
      message: "a digest for each chunk",
    },
    {
      what: "a file digest that its chunks do not give",
      change: () => file({ chunks: ["00".repeat(32)] }),
      message: "must match its chunks' digests",
    },
    {
      what: "a digest of another algorithm",
      change: () => file({ algorithm: "sha256" }),
      message: "of the file's algorithm",
    },
    { what: "an unknown algorithm", change: () => file({ algorithm: "crc32" }), message: "algorithm" },
    { what: "an unknown kind", change: () => file({ kind: "pickle" }), message: "kind" },
    { what: "chunks of one byte", change: () => file({ chunkBytes: 1 }), message: "chunkBytes" },
    { what: "a negative size", change: () => file({ bytes: -1 }), message: "bytes" },
    { what: "a size beyond counting", change: () => file({ bytes: 2 ** 60 }), message: "bytes" },
    {
      what: "totals that are not the sum",
      change: () => ({ totals: { files: 2, bytes: 1 } }),
      message: "totals must be the files' sum",
    },
    { what: "a step that is no count", change: () => ({ step: 1.5 }), message: "step" },
    { what: "attempt 0", change: () => ({ attempt: 0 }), message: "attempt" },
    { what: "a missing member", change: () => ({ producer: undefined as never }), message: "" },
    { what: "more than 10,000 files", change: () => files(10_001), message: "<=10000 items" },
    {
      what: "more text than 8 MiB",
      change: () => ({ producer: { name: "n".repeat(2 ** 23), version: "1" } }),
      message: "it may have 8388608 bytes",
    },
  ];
  test.each(changes)("is refused: $what", ({ change, message }) => {
    expect(() => parseManifest(sealed(change()))).toThrow(message);
  });

  const texts: { what: string; bytes: () => Uint8Array; message: string }[] = [
    { what: "nothing", bytes: () => text(""), message: "must be canonical JSON" },
    { what: "no object", bytes: () => text("[]"), message: "it must be an object" },
    { what: "null", bytes: () => text("null"), message: "it must be an object" },
    {
      what: "a byte order mark",
      bytes: () => Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), manifestBytes(genuine)]),
      message: "must be canonical JSON",
    },
    {
      what: "bytes that are no UTF-8",
      bytes: () => Buffer.concat([manifestBytes(genuine), Buffer.from([0xff])]),
      message: "must be canonical JSON",
    },
    { what: "white space", bytes: () => text(` ${canonicalJson(genuine)}`), message: "its text must be canonical" },
    {
      what: "a final newline",
      bytes: () => text(`${canonicalJson(genuine)}\n`),
      message: "its text must be canonical",
    },
    {
      what: "members in another order",
      bytes: () => text(JSON.stringify(genuine)),
      message: "its text must be canonical",
    },
    {
      what: "a member twice",
      bytes: () => text(canonicalJson(genuine).replace("{", '{"attempt":1,')),
      message: "a member may appear once",
    },
    {
      what: "a member named __proto__",
      bytes: () => text(canonicalJson(genuine).replace("{", '{"__proto__":{"step":1},')),
      message: "no member may be named __proto__",
    },
    {
      what: "an escape where none is needed",
      bytes: () => text(canonicalJson(genuine).replace('"attempt"', '"\\u0061ttempt"')),
      message: "its text must be canonical",
    },
    { what: "nesting without end", bytes: () => text('{"a":'.repeat(100_000)), message: "values may nest 32 deep" },
    {
      what: "another major version",
      bytes: () => sealed({ format: 2 }),
      message: "its format is 2 and this program reads 1",
    },
    {
      what: "a version that is text",
      bytes: () => sealed({ format: "1" }),
      message: "expected 1",
    },
    {
      what: "another major version that its digest does not cover, which is damage",
      bytes: () => text(canonicalJson({ ...genuine, format: 2 })),
      message: "its digest must match its text",
    },
    {
      what: "another major version without a digest",
      bytes: () => text(canonicalJson({ format: 2, runUid })),
      message: "it must follow the schema",
    },
    {
      what: "a digest that is another's",
      bytes: () => text(canonicalJson({ ...genuine, digest: `blake3:${"0".repeat(64)}` })),
      message: "its digest must match its text",
    },
  ];
  test.each(texts)("is refused: $what", ({ bytes, message }) => {
    expect(() => parseManifest(bytes())).toThrow(message);
  });

  test("is refused whichever single bit is flipped", () => {
    const whole = Buffer.from(manifestBytes(genuine));
    let refused = 0;
    for (let bit = 0; bit < whole.byteLength * 8; bit += 1) {
      const damaged = Buffer.from(whole);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => parseManifest(damaged), `bit ${bit}`).toThrow(notOfALaterVersion);
      refused += 1;
    }
    expect(refused).toBe(whole.byteLength * 8);
  });

  test("is refused at every length but its own", () => {
    const whole = manifestBytes(genuine);
    for (let length = 0; length < whole.byteLength; length += 1) {
      expect(() => parseManifest(whole.subarray(0, length)), `length ${length}`).toThrow();
    }
  });

  test("may carry members of a later minor version, which its digest covers", () => {
    const later = parseManifest(sealed({ note: "added in 1.1" }));
    expect(later.step).toBe(genuine.step);
    expect(later.digest).not.toBe(genuine.digest);
  });
});
