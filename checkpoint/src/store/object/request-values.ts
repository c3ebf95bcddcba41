import { createHash } from "node:crypto";

/** The value of `Content-MD5` for a body. */
export function md5Of(...pieces: readonly (Uint8Array | string)[]): string {
  const hash = createHash("md5");
  for (const piece of pieces) hash.update(piece);
  return hash.digest("base64");
}

/** The same bytes as a body that the `minio` package takes. */
export function bodyOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** As the signature wants it: everything but letters, digits and `-._~` escaped. */
export function escapedQuery(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}
