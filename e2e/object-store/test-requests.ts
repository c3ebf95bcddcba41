import type { Client } from "minio";

/** The header with which a write succeeds only as the first of its key. */
export const created = { "If-None-Match": "*" };

const defaultBucket = "checkpoints";

/** Puts a text or bytes with one request. */
export async function put(
  client: Client,
  key: string,
  body: string | Buffer,
  headers: Readonly<Record<string, string>> = {},
): Promise<void> {
  const bytes = Buffer.from(body);
  await client.putObject(defaultBucket, key, bytes, bytes.length, headers);
}

/** The whole object, as text. */
export async function read(
  client: Client,
  key: string,
  from: { bucket?: string; versionId?: string; encoding?: BufferEncoding } = {},
): Promise<string> {
  const stream = await client.getObject(
    from.bucket ?? defaultBucket,
    key,
    from.versionId === undefined ? {} : { versionId: from.versionId },
  );
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces).toString(from.encoding);
}

/** All keys below a prefix, in the store's order. */
export async function keysBelow(client: Client, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { name } of client.listObjectsV2(defaultBucket, prefix, true)) keys.push(name);
  return keys;
}

/** `Done`, or the code of the error with which it ended. */
export async function outcomeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "Done";
  } catch (error) {
    return error instanceof Error && "code" in error ? String(error.code) : String(error);
  }
}
