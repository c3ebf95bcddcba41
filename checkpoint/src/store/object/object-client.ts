import type { IncomingMessage } from "node:http";
import type { Client } from "minio";
import { AnswerError, bytesOf, drain, fillFrom, textOf } from "./answers.ts";
import type { StoredObject } from "./multipart-sums.ts";
import { MultipartUploads } from "./multipart-uploads.ts";
import { ObjectStoreError } from "./object-store-error.ts";
import { bodyOf, escapedQuery, md5Of } from "./request-values.ts";
import { type RequestOptions, Requests } from "./requests.ts";
import { type ListedKey, type ListingPage, parseErrors, parseListing, removalOf, throwErrors } from "./s3-xml.ts";

const removedAtOnce = 1_000;

/**
 * The objects of a bucket. All methods throw `ObjectStoreError`. Every write may be repeated: unique keys carry the
 * same bytes each time, and a conditional create whose reply was lost says `exists`.
 */
export class ObjectClient {
  readonly bucket: string;
  readonly endpoint: string;
  readonly uploads: MultipartUploads;
  readonly #requests: Requests;

  constructor(options: RequestOptions) {
    this.#requests = new Requests(options);
    this.uploads = new MultipartUploads(this.#requests, (key) => this.#lookAt(key));
    this.bucket = this.#requests.bucket;
    this.endpoint = this.#requests.endpoint;
  }

  /** Puts an object in one request. With `ifAbsent` it says `exists`, and changes nothing, where the key is taken. */
  put(key: string, bytes: Uint8Array, { ifAbsent }: { ifAbsent: boolean }): Promise<"created" | "exists"> {
    const headers = { "Content-MD5": md5Of(bytes), ...(ifAbsent && { "If-None-Match": "*" }) };
    return this.#requests.send({ what: `put ${key}`, bytes: bytes.byteLength }, async (client) => {
      const request = { method: "PUT", bucketName: this.bucket, objectName: key, headers: { ...headers } };
      const answer = await client.makeRequestAsync(request, bodyOf(bytes), ifAbsent ? [200, 412] : [200]);
      await drain(answer);
      return answer.statusCode === 412 ? "exists" : "created";
    });
  }

  /** Fills `target` from `position` on and returns how much there was; null where the object is not there. */
  async read(key: string, target: Uint8Array, position: number): Promise<number | null> {
    if (target.byteLength === 0) return 0;
    const range = { from: position, bytes: target.byteLength };
    return this.#get(key, range, (answer) => (answer === null ? 0 : fillFrom(answer, target, position)));
  }

  /** An object's bytes, at most `limit` of them; null where it is not there. */
  readWhole(key: string, limit: number): Promise<Uint8Array | null> {
    return this.#get(key, { from: 0, bytes: limit }, (answer) =>
      answer === null ? new Uint8Array(0) : bytesOf(answer, limit),
    );
  }

  /** Size of an object in bytes, or null where it is not there. */
  async size(key: string): Promise<number | null> {
    // An answer to HEAD has no body: the store's own 404 looks like that of a gateway that does not know the way to it.
    return (await this.#head(key))?.bytes ?? this.#sizeByReading(key);
  }

  /** Whether an object is there, in one request: for keys that are mostly not there. */
  async has(key: string): Promise<boolean> {
    return (await this.#sizeByReading(key)) !== null;
  }

  /** Everything below a prefix, at most `limit` keys and up to a page more. */
  async list(prefix: string, limit: number): Promise<ListedKey[]> {
    const keys: ListedKey[] = [];
    for (let token = ""; keys.length <= limit; ) {
      const page = await this.#page(prefix, { token });
      keys.push(...page.keys);
      if (page.next === null) break;
      if (page.next === token) throw this.#endless(prefix);
      token = page.next;
    }
    return keys;
  }

  /**
   * First segments below a prefix that ends with a slash, in order. A store's own list of folders may name those of which
   * only deleted versions are left, so keys are listed, and what is left of a folder is skipped after each page.
   */
  async folders(prefix: string): Promise<string[]> {
    const found: string[] = [];
    for (let after = ""; ; ) {
      const page = await this.#page(prefix, { after });
      for (const { key } of page.keys) {
        const [name = ""] = key.slice(prefix.length).split("/", 1);
        if (found.at(-1) !== name && key.includes("/", prefix.length)) found.push(name);
      }
      const last = page.keys.at(-1)?.key;
      if (page.next === null || last === undefined) return found;
      const slash = last.indexOf("/", prefix.length);
      // A zero comes right after a slash: nothing lies between what is in the folder and this.
      const next = slash < 0 ? last : `${last.slice(0, slash)}0`;
      if (next === after) throw this.#endless(prefix);
      after = next;
    }
  }

  /** The beginning of a listing: whether these keys may look into this bucket at all. */
  firstPage(prefix: string): Promise<ListingPage> {
    return this.#page(prefix, {});
  }

  /** Removes objects; one that is not there is fine. */
  async remove(keys: readonly string[]): Promise<void> {
    for (let from = 0; from < keys.length; from += removedAtOnce) {
      await this.#removeSome(keys.slice(from, from + removedAtOnce));
    }
  }

  /** Breaks all connections. */
  close(): void {
    this.#requests.close();
  }

  /** `take` gets null where the object ends before the range begins. */
  #get<T>(
    key: string,
    { from, bytes }: { from: number; bytes: number },
    take: (answer: IncomingMessage | null) => T | Promise<T>,
  ): Promise<T | null> {
    return this.#requests.send({ what: `get ${key}`, bytes }, async (client) => {
      const request = { ...this.#about("GET", key), headers: { Range: `bytes=${from}-${from + bytes - 1}` } };
      const answer = await client.makeRequestAsync(request, "", [200, 206, 404, 416]);
      if (answer.statusCode === 404) return absent(await textOf(answer));
      if (answer.statusCode !== 416) return take(answer);
      await drain(answer);
      return take(null);
    });
  }

  /** What the store has, and its own sums of that, as far as it gives them. */
  async #lookAt(key: string): Promise<StoredObject | null> {
    const found = await this.#head(key, { "x-amz-checksum-mode": "ENABLED" });
    if (found !== null) return found;
    const bytes = await this.#sizeByReading(key);
    return bytes === null ? null : { bytes, etag: null, crc32: null };
  }

  async #head(key: string, headers: Readonly<Record<string, string>> = {}): Promise<StoredObject | null> {
    try {
      return await this.#requests.send({ what: `look at ${key}` }, async (client) => {
        const request = { ...this.#about("HEAD", key), headers: { ...headers } };
        const answer = await client.makeRequestAsync(request, "", [200, 404]);
        await drain(answer);
        return answer.statusCode === 404 ? null : storedObject(answer);
      });
    } catch (error) {
      // The answer to this method has no word for what is wrong. A listing's has one.
      if (error instanceof ObjectStoreError && error.hasAnswered) await this.firstPage(key);
      throw error;
    }
  }

  #sizeByReading(key: string): Promise<number | null> {
    return this.#get(key, { from: 0, bytes: 1 }, (answer) => (answer === null ? 0 : wholeSizeOf(answer)));
  }

  #page(prefix: string, { token = "", after = "" }: { token?: string; after?: string }): Promise<ListingPage> {
    const query = [
      ...(token === "" ? [] : [`continuation-token=${escapedQuery(token)}`]),
      "list-type=2",
      "max-keys=1000",
      `prefix=${escapedQuery(prefix)}`,
      ...(after === "" ? [] : [`start-after=${escapedQuery(after)}`]),
    ];
    return this.#requests.send({ what: `list ${prefix}` }, async (client) => {
      const request = { method: "GET", bucketName: this.bucket, query: query.join("&") };
      return parseListing(await textOf(await client.makeRequestAsync(request, "", [200])));
    });
  }

  async #removeSome(keys: readonly string[]): Promise<void> {
    const what = `remove ${keys[0]}${keys.length > 1 ? ` and ${keys.length - 1} more` : ""}`;
    const { text, md5: sum } = removalOf(keys);
    await this.#requests.send({ what }, async (client: Client) => {
      const request = { method: "POST", bucketName: this.bucket, query: "delete=", headers: { "Content-MD5": sum } };
      const answer = await client.makeRequestAsync(request, Buffer.from(text), [200]);
      // What could not be removed stands in an answer that is good.
      throwErrors(await textOf(answer));
    });
  }

  #endless(prefix: string): ObjectStoreError {
    return new ObjectStoreError(
      "StoreFailing",
      `Cannot list ${prefix} in ${this.endpoint}/${this.bucket} because its pages do not end: look at the store's own logs`,
    );
  }

  #about(method: string, key: string) {
    return { method, bucketName: this.bucket, objectName: key };
  }
}

/** Null for an object that is not there. Anything else that is not there, a bucket or a store, is a failure. */
function absent(errorText: string): null {
  const [error] = parseErrors(errorText);
  if (error?.code === "NoSuchKey") return null;
  throw new AnswerError(error?.code ?? "", error?.message ?? "it is no answer of an object store");
}

/** Of the object of which the answer brings the first byte, or all of it from a store that ignores ranges. */
async function wholeSizeOf(answer: IncomingMessage): Promise<number> {
  const [, size] = /^bytes 0-0\/(\d+)$/.exec(answer.headers["content-range"] ?? "") ?? [];
  const whole = answer.statusCode === 200 ? lengthOf(answer) : Number(size ?? Number.NaN);
  await bytesOf(answer, 1);
  if (!Number.isSafeInteger(whole)) throw new AnswerError("", "it does not say how many bytes the object has");
  return whole;
}

function storedObject(answer: IncomingMessage): StoredObject {
  const { etag, "x-amz-checksum-crc32": sum } = answer.headers;
  const crc32 = typeof sum === "string" ? sum : null;
  return { bytes: lengthOf(answer), etag: etag?.replaceAll('"', "") ?? null, crc32 };
}

function lengthOf(answer: IncomingMessage): number {
  const length = answer.headers["content-length"];
  if (length === undefined) throw new AnswerError("", "it does not say how many bytes the object has");
  return Number(length);
}
