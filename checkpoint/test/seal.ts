import { canonicalJson } from "../src/canonical-json.ts";
import { hashBytes } from "../src/hash.ts";

/** The members with the digest that fits them, in place of any that they bring: what any writer of a manifest or a record could seal. */
export function seal<T extends object>(value: T): T & { digest: string } {
  const { digest: _, ...unsealed } = value as T & { digest?: unknown };
  return { ...value, digest: hashBytes(new TextEncoder().encode(canonicalJson(unsealed))) };
}
