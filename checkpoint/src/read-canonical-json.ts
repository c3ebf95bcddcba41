import { CanonicalJsonError, canonicalJson } from "./canonical-json.ts";
import { parseStrictJson } from "./strict-json.ts";

/**
 * Reads a text that must be the canonical one of its value; null where it is another one of the same value. What
 * {@link parseStrictJson} would refuse is refused with the same words: no text of that kind is the canonical one of
 * anything, so the slow parser is asked only about a text that is not canonical.
 */
export function readCanonicalJson(text: string): Readonly<{ value: unknown }> | null {
  const read = quickly(text);
  if (read === null) parseStrictJson(text);
  return read;
}

function quickly(text: string): Readonly<{ value: unknown }> | null {
  try {
    const value: unknown = JSON.parse(text);
    return canonicalJson(value) === text ? { value } : null;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof CanonicalJsonError) return null;
    throw error;
  }
}
