import { limits } from "./limits.ts";

/** The name of the manifest inside a checkpoint; no other file may take it. */
export const manifestName = "MANIFEST.json";

/**
 * The rule that a name breaks, or null where it may name a file of a checkpoint: relative, `/`-separated, NFC,
 * no empty, `.` or `..` segment, no backslash, no control character, no name that the protocol uses itself.
 */
export function brokenPathRule(path: string): string | null {
  if (path.length === 0) return "a name must not be empty";
  if (Buffer.byteLength(path) > limits.pathBytes) return `a name has at most ${limits.pathBytes} bytes`;
  if (!path.isWellFormed()) return "a name must be well-formed Unicode";
  if (path.normalize("NFC") !== path) return "a name must be in Unicode normal form C";
  if (hasControlCharacter(path)) return "a name must hold no control character";
  if (path.includes("\\")) return "a name must hold no backslash";
  const first = path.split("/", 1)[0];
  if (first === manifestName || first === `${manifestName}.tmp`) return `${first} is the protocol's own`;
  for (const segment of path.split("/")) {
    if (segment === "" || segment === "." || segment === "..") return "a name must be relative, without . or .. in it";
    if (Buffer.byteLength(segment) > limits.segmentBytes) return `a segment has at most ${limits.segmentBytes} bytes`;
  }
  return null;
}

/** The rule that a list of names breaks together: duplicates, and a file where another name needs a directory. */
export function brokenPathsRule(paths: readonly string[]): string | null {
  const files = new Set(paths);
  if (files.size !== paths.length) return "a name may appear once";
  for (const path of paths) {
    for (let slash = path.indexOf("/"); slash !== -1; slash = path.indexOf("/", slash + 1)) {
      if (files.has(path.slice(0, slash))) return "a name must not be both a file and a directory";
    }
  }
  return null;
}

function hasControlCharacter(text: string): boolean {
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return true;
  }
  return false;
}
