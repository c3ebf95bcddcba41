import { canonicalJson } from "./canonical-json.ts";
import type { FileKind } from "./manifest.ts";

/** One file of a checkpoint to be saved: its bytes come in order, in pieces of any size, exactly `bytes` in all. */
export interface FileSource {
  /** Relative, `/`-separated name inside the checkpoint. */
  readonly path: string;
  readonly kind: FileKind;
  readonly bytes: number;
  chunks(): AsyncIterable<Uint8Array>;
}

/** A JSON file, written canonically, so that equal values are equal bytes. */
export function jsonFile(path: string, value: unknown): FileSource {
  return bytesFile(path, "json", new TextEncoder().encode(`${canonicalJson(value)}\n`));
}

/** A file whose bytes are in memory already. The caller must not change them before the save has ended. */
export function bytesFile(path: string, kind: FileKind, content: Uint8Array): FileSource {
  return {
    path,
    kind,
    bytes: content.byteLength,
    async *chunks() {
      yield content;
    },
  };
}
