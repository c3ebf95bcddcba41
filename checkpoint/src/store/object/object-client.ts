import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Client } from "minio";
import { AnswerError, bytesOf, drain, fillFrom, textOf } from "./answers.ts";
import { ObjectStoreError } from "./object-store-error.ts";
import { type RequestOptions, Requests } from "./requests.ts";
import {
  completionOf,
  type ListedKey,
  type ListingPage,
  parseErrors,
  parseListing,
  parseUploadId,
  parseUploads,
  removalOf,
} from "./s3-xml.ts";

/** One part of a large object, as the store acknowledged it. */
export type UploadedPart = Readonly<{ part: number; etag: string }>;
/** An upload that was begun and neither completed nor aborted. */
export type OpenUpload = Readonly<{ key: string; uploadId: string }>;

const removedAtOnce = 1_000;

/**
 * The objects of a bucket. All methods throw `ObjectStoreError`. Every write may be repeated: parts and unique keys carry
 * the same bytes each time, and a conditional create whose reply was lost says `exists`.
 */
export class ObjectClient {
  readonly bucket: string;
  readonly endpoint: string;
  readonly #requests: Requests;

  constructor(options: RequestOptions) {
    this.#requests = new Requests(options);
    this.bucket = this.#requests.bucket;
    this.endpoint = this.#requests.endpoint;
  }

  /** Puts an object in one request. With `ifAbsent` it says `exists`, and changes nothing, where the key is taken. */
  put(key: string, bytes: Uint8Array, { ifAbsent }: { ifAbsent: boolean }): Promise<"created" | "exists"> {
    const headers = { "Content-MD5": md5(bytes), ...(ifAbsent && { "If-None-Match": "*" }) };
    return this.#requests.send({ what: `put ${key}`, bytes: bytes.byteLength }, async (client) => {
      const request = { method: "PUT", bucketName: this.bucket, objectName: key, headers: { ...headers } };
      const answer = await client.makeRequestAsync(request, asBuffer(bytes), [200, 412]);
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
    try {
      return await this.#requests.send({ what: `look at ${key}` }, async (client) => {
        const answer = await client.makeRequestAsync(this.#about("HEAD", key), "", [200, 404]);
        await drain(answer);
        return answer.statusCode === 404 ? null : lengthOf(answer);
      });
    } catch (error) {
      // The answer to this method has no body, and so no word for what is wrong. A listing's has one.
      if (error instanceof ObjectStoreError && error.hasAnswered) await this.firstPage(key);
      throw error;
    }
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

  /** Begins an upload in parts and returns its id. */
  beginUpload(key: string): Promise<string> {
    return this.#requests.send({ what: `begin ${key}` }, async (client) => {
      const request = { ...this.#about("POST", key), query: "uploads=" };
      return parseUploadId(await textOf(await client.makeRequestAsync(request, "", [200])));
    });
  }

  /** Uploads part `part`, counted from 1, of at least 5 MiB unless it is the last. */
  putPart({ key, uploadId }: OpenUpload, part: number, bytes: Uint8Array): Promise<UploadedPart> {
    const sum = md5(bytes);
    return this.#requests.send({ what: `put part ${part} of ${key}`, bytes: bytes.byteLength }, async (client) => {
      const query = `partNumber=${part}&uploadId=${encodeURIComponent(uploadId)}`;
      const request = { ...this.#about("PUT", key), query, headers: { "Content-MD5": sum } };
      const answer = await client.makeRequestAsync(request, asBuffer(bytes), [200]);
      await drain(answer);
      const { etag } = answer.headers;
      if (etag === undefined) throw new AnswerError("", "it names no ETag for the part");
      return { part, etag };
    });
  }

  /** Makes an object of its parts; readers see it whole from then on. */
  async completeUpload({ key, uploadId }: OpenUpload, { parts, bytes }: { parts: UploadedPart[]; bytes: number }) {
    try {
      // Some stores copy all bytes into one file before they answer.
      await this.#requests.send({ what: `complete ${key}`, storedBytes: bytes }, async (client) => {
        const request = { ...this.#about("POST", key), query: `uploadId=${encodeURIComponent(uploadId)}` };
        const answer = await client.makeRequestAsync(request, completionOf(parts), [200]);
        // A store that needs long says 200 first, and in the end perhaps that it failed.
        throwErrors(await textOf(answer));
      });
    } catch (error) {
      // The reply to an earlier try may have been lost: then the upload is gone and the object is there.
      if ((await this.size(key)) !== bytes) throw error;
    }
  }

  /** Gives up an upload and its parts; one that is gone is fine. */
  abortUpload({ key, uploadId }: OpenUpload): Promise<void> {
    return this.#requests.send({ what: `abort the upload of ${key}` }, async (client) => {
      const request = { ...this.#about("DELETE", key), query: `uploadId=${encodeURIComponent(uploadId)}` };
      await drain(await client.makeRequestAsync(request, "", [200, 204, 404]));
    });
  }

  /**
   * Uploads below a prefix that were begun and not ended, at most a thousand. MinIO knows only those of one whole key, and
   * gives up what is left over by itself after a day.
   */
  openUploads(prefix: string): Promise<OpenUpload[]> {
    return this.#requests.send({ what: `list the uploads below ${prefix}` }, async (client) => {
      const query = `max-uploads=1000&prefix=${escapedQuery(prefix)}&uploads=`;
      const request = { method: "GET", bucketName: this.bucket, query };
      return parseUploads(await textOf(await client.makeRequestAsync(request, "", [200])));
    });
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

function throwErrors(text: string): void {
  const [error] = parseErrors(text).filter(({ code }) => code !== "NoSuchKey");
  if (error !== undefined) throw new AnswerError(error.code || "InternalError", error.message);
}

function lengthOf(answer: IncomingMessage): number {
  const length = answer.headers["content-length"];
  if (length === undefined) throw new AnswerError("", "it does not say how many bytes the object has");
  return Number(length);
}

function md5(bytes: Uint8Array): string {
  return createHash("md5").update(bytes).digest("base64");
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** As the signature wants it: everything but letters, digits and `-._~` escaped. */
function escapedQuery(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}
