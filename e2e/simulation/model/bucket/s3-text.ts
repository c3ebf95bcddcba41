import type { NamedPart, Page } from "./bucket.ts";
import type { S3Refusal } from "./refusal.ts";

const xml = '<?xml version="1.0" encoding="UTF-8"?>';
const namespace = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"';

/** A page of a listing, as ListObjectsV2 answers. The token is the key after which it goes on. */
export function listingText(bucket: string, { keys, after }: Page): string {
  const contents = keys.map(({ key, bytes }) => `<Contents><Key>${escaped(key)}</Key><Size>${bytes}</Size></Contents>`);
  const next = after === null ? "" : `<NextContinuationToken>${escaped(after)}</NextContinuationToken>`;
  const head = `<Name>${escaped(bucket)}</Name><KeyCount>${keys.length}</KeyCount><IsTruncated>${after !== null}</IsTruncated>`;
  return `${xml}<ListBucketResult ${namespace}>${head}${next}${contents.join("")}</ListBucketResult>`;
}

/** The answer to the beginning of an upload. */
export function uploadText(bucket: string, { key, id }: { key: string; id: string }): string {
  const inside = `<Bucket>${escaped(bucket)}</Bucket><Key>${escaped(key)}</Key><UploadId>${escaped(id)}</UploadId>`;
  return `${xml}<InitiateMultipartUploadResult ${namespace}>${inside}</InitiateMultipartUploadResult>`;
}

/** Uploads that were begun and not ended. */
export function uploadsText(bucket: string, uploads: readonly { key: string; id: string }[]): string {
  const each = uploads.map(
    ({ key, id }) => `<Upload><Key>${escaped(key)}</Key><UploadId>${escaped(id)}</UploadId></Upload>`,
  );
  const inside = `<Bucket>${escaped(bucket)}</Bucket><IsTruncated>false</IsTruncated>${each.join("")}`;
  return `${xml}<ListMultipartUploadsResult ${namespace}>${inside}</ListMultipartUploadsResult>`;
}

/** An error as S3 tells it. */
export function errorText({ code, message }: S3Refusal, path: string): string {
  const resource = `<Resource>${escaped(path)}</Resource>`;
  return `${xml}<Error><Code>${escaped(code)}</Code><Message>${escaped(message)}</Message>${resource}</Error>`;
}

/** The keys that a removal names. */
export function removedKeys(text: string): string[] {
  return Array.from(text.matchAll(/<Key>(.*?)<\/Key>/gs), ([, key = ""]) => unescaped(key));
}

/** The parts that a completion names, in its order. */
export function completedParts(text: string): NamedPart[] {
  const parts = text.matchAll(/<Part>.*?<PartNumber>(\d+)<\/PartNumber>.*?<ETag>(.*?)<\/ETag>.*?<\/Part>/gs);
  return Array.from(parts, ([, part, etag = ""]) => ({ part: Number(part), etag: unescaped(etag) }));
}

function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

function unescaped(text: string): string {
  const entities: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };
  return text.replaceAll(/&(?:#(\d+)|(\w+));/g, (whole, number, name) =>
    number === undefined ? (entities[name] ?? whole) : String.fromCodePoint(Number(number)),
  );
}
