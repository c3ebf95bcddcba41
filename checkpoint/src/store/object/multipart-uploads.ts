import { Readable } from "node:stream";
import { crc32 } from "node:zlib";
import { AnswerError, drain, textOf } from "./answers.ts";
import { isOfOtherParts, type StoredObject, type UploadedPart } from "./multipart-sums.ts";
import { ObjectStoreError, type ObjectStoreProblem } from "./object-store-error.ts";
import { bodyOf, escapedQuery, md5Of } from "./request-values.ts";
import type { Requests } from "./requests.ts";
import { completionOf, parseErrors, parseUploadId, parseUploads, throwErrors } from "./s3-xml.ts";

/** An upload that was begun and neither completed nor aborted. */
export type OpenUpload = Readonly<{ key: string; uploadId: string }>;
/** An upload that this process began, and how its parts are summed: it keeps to what it was begun with. */
export type BegunUpload = OpenUpload & Readonly<{ sum: PartSum }>;

/**
 * What the store compares a part's bytes with when they arrive. Every store checks an MD5. A CRC-32 is made four times
 * as fast and finds what a network does to bytes, but a store that does not know it takes the bytes unchecked.
 */
type PartSum = "Crc32" | "Md5";

/** Statuses of refusals that may be of a request with a sum that the store does not know, or that is wrong. */
const refusals = [400, 422, 501];
/**
 * Codes of those that are: AWS and versitygw answer another sum with the first, MinIO with the second; the rest is about
 * sums that cannot be read or are not known. Whatever else stands behind such a status, such as keys that have expired,
 * says nothing of sums.
 */
const sumRefusals = new Set([
  "BadDigest",
  "XAmzContentChecksumMismatch",
  "InvalidDigest",
  "InvalidRequest",
  "InvalidArgument",
  "NotImplemented",
]);
const refusalProblems: ReadonlySet<ObjectStoreProblem> = new Set(["StoreFailing", "ConditionsUnsupported"]);

const notAllowed: ReadonlySet<ObjectStoreProblem> = new Set(["AccessDenied", "ConditionsUnsupported"]);
/** Uploads are listed by the thousand. */
const maxPages = 20;

/** Uploads of large objects in parts. All methods throw `ObjectStoreError`, and every request may be repeated. */
export class MultipartUploads {
  readonly #bucket: string;
  readonly #requests: Requests;
  readonly #lookAt: (key: string) => Promise<StoredObject | null>;
  #sum: PartSum | null = null;

  /** `lookAt` says what the store has under a key, or null where that is nothing. */
  constructor(requests: Requests, lookAt: (key: string) => Promise<StoredObject | null>) {
    this.#bucket = requests.bucket;
    this.#requests = requests;
    this.#lookAt = lookAt;
  }

  /** Begins an upload. The first one asks the store which sums it checks, with parts of one byte. */
  async begin(key: string): Promise<BegunUpload> {
    this.#sum ??= await this.#probe(key);
    return this.#begin(key, this.#sum);
  }

  /** Uploads part `part`, counted from 1, of at least 5 MiB unless it is the last; from the pieces, which nobody may change. */
  async put(upload: BegunUpload, part: number, ...pieces: readonly Uint8Array[]): Promise<UploadedPart> {
    const { sum, header } = summed(upload.sum, pieces);
    const bytes = pieces.reduce((total, piece) => total + piece.byteLength, 0);
    const asked = { what: `put part ${part} of ${upload.key}`, bytes };
    return this.#requests.send(asked, async (client) => {
      const request = { ...this.#partOf(upload, part), headers: { ...header, "content-length": `${bytes}` } };
      const [first, ...more] = pieces.map(bodyOf);
      const body = more.length === 0 ? (first ?? "") : Readable.from([first, ...more]);
      const answer = await client.makeRequestStreamAsync(request, body, "", [200], "");
      await drain(answer);
      const { etag } = answer.headers;
      if (etag === undefined) throw new AnswerError("", "it names no ETag for the part");
      return { part, etag, ...sum };
    });
  }

  /** Makes an object of its parts; readers see it whole from then on. */
  async complete(upload: BegunUpload, { parts, bytes }: { parts: UploadedPart[]; bytes: number }): Promise<void> {
    try {
      // Some stores copy all bytes into one file before they answer.
      await this.#requests.send({ what: `complete ${upload.key}`, storedBytes: bytes }, async (client) => {
        const request = this.#about("POST", upload);
        const answer = await client.makeRequestAsync(request, completionOf(parts), [200]);
        // A store that needs long says 200 first, and in the end perhaps that it failed.
        throwErrors(await textOf(answer));
      });
    } catch (error) {
      // The reply to an earlier try may have been lost: then the upload is gone and the object is there. Where the upload
      // was given up, an older object may be there, of the same size and perhaps of other bytes.
      const stored = await this.#lookAt(upload.key);
      if (stored?.bytes !== bytes || isOfOtherParts(stored, parts)) throw error;
    }
  }

  /**
   * Gives up an upload of this process and its parts; one that is gone is fine. A stop does not keep it from that for a
   * few seconds: nobody may come after this process who looks for what it left.
   */
  abort(upload: OpenUpload): Promise<void> {
    return this.#abort(upload, { goesOn: true });
  }

  /**
   * Gives up what others have begun below a prefix and not ended. Stores may let keys put objects and not list or abort
   * uploads, or know no such list: then that is left to the store, since what is given up is only room. MinIO knows uploads
   * by one whole key alone, and gives up what is left over by itself after a day.
   */
  async giveUp(prefix: string, isLeft: (key: string) => boolean = () => true): Promise<void> {
    try {
      for (let page = 0; page < maxPages; page += 1) {
        const left = (await this.#list(prefix)).filter(({ key }) => isLeft(key));
        if (left.length === 0) return;
        for (const upload of left) await this.#abort(upload, { goesOn: false });
      }
    } catch (error) {
      if (!(error instanceof ObjectStoreError && notAllowed.has(error.problem))) throw error;
    }
  }

  #abort(upload: OpenUpload, { goesOn }: { goesOn: boolean }): Promise<void> {
    return this.#requests.send({ what: `abort the upload of ${upload.key}`, goesOn }, async (client) => {
      await drain(await client.makeRequestAsync(this.#about("DELETE", upload), "", [200, 204, 404]));
    });
  }

  /** At most a thousand. */
  #list(prefix: string): Promise<OpenUpload[]> {
    return this.#requests.send({ what: `list the uploads below ${prefix}` }, async (client) => {
      const query = `max-uploads=1000&prefix=${escapedQuery(prefix)}&uploads=`;
      const request = { method: "GET", bucketName: this.#bucket, query };
      return parseUploads(await textOf(await client.makeRequestAsync(request, "", [200])));
    });
  }

  /** CRC-32 where the store refuses a part with another's and takes one with its own. */
  async #probe(key: string): Promise<PartSum> {
    const upload = await this.#begin(key, "Crc32").catch(refusalAsNull);
    if (upload === null) return "Md5";
    const [one, another] = [Uint8Array.of(1), Uint8Array.of(2)];
    try {
      if (await this.#takes(upload, one, crc32Of([another]))) return "Md5";
      return (await this.#takes(upload, one, crc32Of([one]))) ? "Crc32" : "Md5";
    } catch (error) {
      return refusalAsNull(error) ?? "Md5";
    } finally {
      // What stays is found by its list later.
      await this.abort(upload).catch(() => {});
    }
  }

  #begin(key: string, sum: PartSum): Promise<BegunUpload> {
    return this.#requests.send({ what: `begin ${key}` }, async (client) => {
      const headers = sum === "Crc32" ? { "x-amz-checksum-algorithm": "CRC32" } : {};
      const request = { method: "POST", bucketName: this.#bucket, objectName: key, query: "uploads=", headers };
      const text = await textOf(await client.makeRequestAsync(request, "", [200]));
      return { key, uploadId: parseUploadId(text), sum };
    });
  }

  #takes(upload: OpenUpload, bytes: Uint8Array, sum: string): Promise<boolean> {
    return this.#requests.send({ what: `put part 1 of ${upload.key}` }, async (client) => {
      const request = { ...this.#partOf(upload, 1), headers: crc32Header(sum) };
      const answer = await client.makeRequestAsync(request, bodyOf(bytes), [200, ...refusals]);
      const text = await textOf(answer);
      if (answer.statusCode === 200) return true;
      const [error] = parseErrors(text);
      if (sumRefusals.has(error?.code ?? "")) return false;
      throw new AnswerError(error?.code ?? "", error?.message ?? "it refuses without a word");
    });
  }

  #partOf({ key, uploadId }: OpenUpload, part: number) {
    const query = `partNumber=${part}&uploadId=${encodeURIComponent(uploadId)}`;
    return { method: "PUT", bucketName: this.#bucket, objectName: key, query };
  }

  #about(method: string, { key, uploadId }: OpenUpload) {
    return { method, bucketName: this.#bucket, objectName: key, query: `uploadId=${encodeURIComponent(uploadId)}` };
  }
}

/** A store that does not know such sums may refuse an upload, or a part, with them in words of its own. */
function refusalAsNull(error: unknown): null {
  if (error instanceof ObjectStoreError && refusalProblems.has(error.problem)) return null;
  throw error;
}

/** The sum that a part is sent with, and the header that says it. */
function summed(kind: PartSum, pieces: readonly Uint8Array[]) {
  const sum = kind === "Crc32" ? crc32Of(pieces) : md5Of(...pieces);
  const said: Pick<UploadedPart, "crc32" | "md5"> = kind === "Crc32" ? { crc32: sum } : { md5: sum };
  return { sum: said, header: kind === "Crc32" ? crc32Header(sum) : { "Content-MD5": sum } };
}

/** As the protocol writes it: the four bytes, highest first, in base64. */
function crc32Of(pieces: readonly Uint8Array[]): string {
  const four = Buffer.alloc(4);
  four.writeUInt32BE(pieces.reduce((sum, piece) => crc32(piece, sum), 0));
  return four.toString("base64");
}

function crc32Header(sum: string): { "x-amz-checksum-crc32": string } {
  return { "x-amz-checksum-crc32": sum };
}
