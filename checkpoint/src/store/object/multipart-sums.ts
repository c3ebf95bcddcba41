import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";

/** One part of a large object, as the store acknowledged it, and the sum in base 64 that it was sent with. */
export type UploadedPart = Readonly<{ part: number; etag: string; crc32?: string; md5?: string }>;

/** What a store says of an object that it has: its size, and where it gives them its own sums, as they stand in its headers. */
export type StoredObject = Readonly<{ bytes: number; etag: string | null; crc32: string | null }>;

/** A sum over the sums of parts, which ends in how many they were. Any other form is of something else, and says nothing. */
const ofParts = /^(?:[0-9a-f]{32}|[A-Za-z0-9+/]{6}==)-\d+$/;

/**
 * Whether a store's own sums say that an object was made of other parts than these, in their order. The CRC-32 that the
 * parts were sent with goes first: where a store encrypts, its tags are no digests of the bytes, and look like them. A store
 * that gives neither says nothing.
 */
export function isOfOtherParts({ etag, crc32: sum }: StoredObject, parts: readonly UploadedPart[]): boolean {
  const pairs = [
    [sum, crc32OfParts(parts)],
    [etag, etagOfParts(parts)],
  ] as const;
  const [stored, expected] =
    pairs.find(([given, made]) => given !== null && made !== null && ofParts.test(given)) ?? [];
  return stored !== expected;
}

/** As S3 makes it: the CRC-32 of the parts' CRC-32s. Null where a part was sent without one. */
function crc32OfParts(parts: readonly UploadedPart[]): string | null {
  const sums = parts.flatMap(({ crc32: one }) => (one === undefined ? [] : [Buffer.from(one, "base64")]));
  if (sums.length < parts.length) return null;
  const four = Buffer.alloc(4);
  four.writeUInt32BE(crc32(Buffer.concat(sums)));
  return `${four.toString("base64")}-${parts.length}`;
}

/**
 * As S3 makes it: the MD5 of the parts' MD5s. Null where the tag of a part is no such digest, by its form or beside the MD5
 * that the part was sent with.
 */
function etagOfParts(parts: readonly UploadedPart[]): string | null {
  const tags = parts.map(({ etag }) => etag.replaceAll('"', ""));
  const isMd5 = (tag: string, sent: string | undefined) => {
    return /^[0-9a-f]{32}$/.test(tag) && (sent === undefined || Buffer.from(sent, "base64").toString("hex") === tag);
  };
  if (!tags.every((tag, index) => isMd5(tag, parts[index]?.md5))) return null;
  const hash = createHash("md5");
  for (const tag of tags) hash.update(Buffer.from(tag, "hex"));
  return `${hash.digest("hex")}-${parts.length}`;
}
