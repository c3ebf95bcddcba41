import { createCipheriv, pbkdf2Sync, randomBytes } from "node:crypto";
import { type StoreAccess, storeClient } from "./store-access.ts";

/** One call of MinIO's own API, which S3 does not have. */
export interface AdminCall {
  readonly method: "PUT" | "DELETE";
  readonly call: string;
  readonly query: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

/** Makes the call as the store's root. Its paths look like objects of a bucket `minio`, and are signed like those. */
export async function callAdmin(access: StoreAccess, { method, call, query, body }: AdminCall): Promise<void> {
  await storeClient(access).makeRequestAsyncOmit(
    { method, bucketName: "minio", objectName: `admin/v3/${call}`, query: new URLSearchParams(query).toString() },
    body ?? "",
    [200, 204],
    access.region,
  );
}

const saltBytes = 32;
const nonceBytes = 8;
const iterations = 8192;
const maxPlainBytes = 16 * 1024;
/** The one of the API's three ciphers that Node has all parts of: PBKDF2-SHA256, then AES-256-GCM. */
const cipherId = 0x02;
const isLastChunk = 0x80;

/**
 * Secrets travel encrypted with the root's own secret: `salt | cipher | nonce | chunks`. A chunk's nonce ends in its
 * number; chunk 0 is empty and only its tag is kept, which authenticates every later one. What we send is one chunk.
 */
export function encryptForAdmin(text: string, secret: string): Buffer {
  const plain = Buffer.from(text);
  if (plain.length > maxPlainBytes) {
    throw new RangeError(`Cannot encrypt more than ${maxPlainBytes} bytes in one chunk: ${plain.length}`);
  }
  const [salt, nonce] = [randomBytes(saltBytes), randomBytes(nonceBytes)];
  const key = pbkdf2Sync(secret, salt, iterations, 32, "sha256");
  const seal = (number: number, data: Buffer, authenticated: Buffer): Buffer => {
    const counter = Buffer.alloc(4);
    counter.writeUInt32LE(number);
    const cipher = createCipheriv("aes-256-gcm", key, Buffer.concat([nonce, counter]));
    cipher.setAAD(authenticated);
    return Buffer.concat([cipher.update(data), cipher.final(), cipher.getAuthTag()]);
  };
  const start = seal(0, Buffer.alloc(0), Buffer.alloc(0));
  const chunk = seal(1, plain, Buffer.concat([Buffer.of(isLastChunk), start]));
  return Buffer.concat([salt, Buffer.of(cipherId), nonce, chunk]);
}
