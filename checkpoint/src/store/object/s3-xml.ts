import { AnswerError } from "./answers.ts";
import { md5Of } from "./request-values.ts";

/** One page of a listing. `next` is where to go on, null after the last page. */
export type ListingPage = Readonly<{ keys: readonly ListedKey[]; next: string | null }>;
export type ListedKey = Readonly<{ key: string; bytes: number }>;

/**
 * Reads a listing (ListObjectsV2). The `minio` package's own reader takes every key for URL-encoded, which some stores do
 * not do even where they were asked to, and leaves numeric entities as they are: a name with a plus, a percent sign or a
 * quote would come out as another.
 */
export function parseListing(xml: string): ListingPage {
  const root = elements(xml, "ListBucketResult")[0];
  if (root === undefined) throw new AnswerError("", "it is no listing");
  const isEncoded = valueIn(root, "EncodingType") === "url";
  const nameOf = (text: string) => (isEncoded ? decodeURIComponent(text.replaceAll("+", " ")) : text);
  const keys = elements(root, "Contents").map((entry) => {
    return { key: nameOf(valueIn(entry, "Key") ?? ""), bytes: Number(valueIn(entry, "Size") ?? Number.NaN) };
  });
  if (valueIn(root, "IsTruncated") !== "true") return { keys, next: null };
  const next = valueIn(root, "NextContinuationToken");
  if (next === undefined || next === "") throw new AnswerError("", "it is cut and does not say where it goes on");
  return { keys, next };
}

/** Reads a list of uploads that were begun and not ended. */
export function parseUploads(xml: string): { key: string; uploadId: string }[] {
  const root = elements(xml, "ListMultipartUploadsResult")[0];
  if (root === undefined) throw new AnswerError("", "it is no list of uploads");
  return elements(root, "Upload").map((entry) => {
    return { key: valueIn(entry, "Key") ?? "", uploadId: valueIn(entry, "UploadId") ?? "" };
  });
}

/** The id of an upload that was just begun. */
export function parseUploadId(xml: string): string {
  const id = valueIn(xml, "UploadId");
  if (id === undefined || id === "") throw new AnswerError("", "it names no upload");
  return id;
}

/** The S3 errors in an answer, which may stand in one whose status is good. */
export function parseErrors(xml: string): { code: string; message: string }[] {
  return elements(xml, "Error").map((entry) => {
    return { code: valueIn(entry, "Code") ?? "", message: valueIn(entry, "Message") ?? "" };
  });
}

/** Throws the first error in an answer that is not about an object which is gone already. */
export function throwErrors(xml: string): void {
  const [error] = parseErrors(xml).filter(({ code }) => code !== "NoSuchKey");
  if (error !== undefined) throw new AnswerError(error.code || "InternalError", error.message);
}

/** What asks for the removal of these keys, and its sum, which S3 wants with it. */
export function removalOf(keys: readonly string[]): { text: string; md5: string } {
  const objects = keys.map((key) => `<Object><Key>${escaped(key)}</Key></Object>`).join("");
  const text = `<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet>${objects}</Delete>`;
  return { text, md5: md5Of(text) };
}

/** What makes an object of these parts, in their order. Parts that were sent with a CRC-32 must name it again. */
export function completionOf(parts: readonly { part: number; etag: string; crc32?: string }[]): string {
  const texts = parts.map(({ part, etag, crc32 }) => {
    const sum = crc32 === undefined ? "" : `<ChecksumCRC32>${escaped(crc32)}</ChecksumCRC32>`;
    return `<Part><PartNumber>${part}</PartNumber><ETag>${escaped(etag)}</ETag>${sum}</Part>`;
  });
  return `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${texts.join("")}</CompleteMultipartUpload>`;
}

/** The insides of all elements of that name. S3 nests none in one of its own name, and comments nowhere. */
function elements(xml: string, name: string): string[] {
  const [opens, closes] = [`<${name}`, `</${name}>`];
  const found: string[] = [];
  for (let at = xml.indexOf(opens); at >= 0; ) {
    const behind = at + opens.length;
    const inside = xml.indexOf(">", behind) + 1;
    const end = inside === 0 ? -1 : xml.indexOf(closes, inside);
    if (end < 0) return found;
    // Another element may have a name that only begins with this one.
    const isNamed = inside - 1 === behind || /\s/.test(xml.charAt(behind));
    if (isNamed) found.push(xml.slice(inside, end));
    at = xml.indexOf(opens, isNamed ? end + closes.length : behind);
  }
  return found;
}

function valueIn(xml: string, name: string): string | undefined {
  const inside = elements(xml, name)[0];
  return inside === undefined ? undefined : unescaped(inside);
}

const entities: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

function unescaped(text: string): string {
  return text.replaceAll(/&(?:#(\d{1,7})|#x([0-9a-fA-F]{1,6})|(\w{2,4}));/g, (whole, decimal, hex, name) => {
    if (name !== undefined) return entities[name] ?? whole;
    return String.fromCodePoint(decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal));
  });
}

function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
