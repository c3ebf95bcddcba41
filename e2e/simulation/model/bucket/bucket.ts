import { BucketFaults } from "./faults.ts";
import { S3Refusal } from "./refusal.ts";

/** What keys may be allowed to do. */
export type Right = "Get" | "Put" | "List" | "Delete" | "Uploads";

/** A pair of keys that the store knows, by its id, and what it may do. */
export type KeyRights = ReadonlyMap<string, ReadonlySet<Right>>;

/** What kind of store it is. */
export type BucketOptions = Readonly<{
  name: string;
  /** The store's own clock, in milliseconds since 1970. */
  clock: () => number;
  /** What becomes of `If-None-Match`: some stores take no notice of it, some refuse it. */
  conditions?: "Honoured" | "Ignored" | "Refused";
  /** How long a listing is behind: what was put or removed since then does not show in it. */
  listingLagMs?: number;
  /** Whose uploads are listed below a prefix; MinIO knows those of one whole key alone. */
  uploadsBy?: "Prefix" | "WholeKey";
  /** Keys on a page of a listing. */
  pageKeys?: number;
  quotaBytes?: number;
  /** Keys that are let in; all are where absent. */
  rights?: KeyRights;
}>;

/** A page of a listing, and the key after which it goes on. */
export type Page = Readonly<{ keys: readonly { key: string; bytes: number }[]; after: string | null }>;

/** An object's part, as the one who completes the upload names it. */
export type NamedPart = Readonly<{ part: number; etag: string }>;

type Part = Readonly<{ etag: string; bytes: Uint8Array }>;
type Upload = Readonly<{ key: string; parts: Map<number, Part> }>;

/** Parts but the last have at least that many bytes. */
const leastPartBytes = 5 * 1024 * 1024;

/**
 * A bucket: keys and bytes. A request happens whole or not at all, and who reads a key gets what was put last; only
 * listings may be behind.
 */
export class Bucket {
  readonly name: string;
  readonly clock: () => number;
  readonly faults = new BucketFaults();
  conditions: "Honoured" | "Ignored" | "Refused";
  listingLagMs: number;
  quotaBytes: number;
  rights: KeyRights | null;
  /** Whether the bucket is there at all. */
  exists = true;
  readonly #uploadsBy: "Prefix" | "WholeKey";
  readonly #pageKeys: number;
  readonly #objects = new Map<string, Uint8Array>();
  readonly #uploads = new Map<string, Upload>();
  /** What listings show, and what they do not show yet, oldest first. */
  readonly #listed = new Map<string, number>();
  #unlisted: { at: number; key: string; bytes: number | null }[] = [];
  #ids = 0;

  constructor({ name, clock, ...options }: BucketOptions) {
    this.name = name;
    this.clock = clock;
    this.conditions = options.conditions ?? "Honoured";
    this.listingLagMs = options.listingLagMs ?? 0;
    this.quotaBytes = options.quotaBytes ?? Number.POSITIVE_INFINITY;
    this.rights = options.rights ?? null;
    this.#uploadsBy = options.uploadsBy ?? "Prefix";
    this.#pageKeys = options.pageKeys ?? 1000;
  }

  /** Everything that is there now, for who judges or prepares. The bytes stay the bucket's. */
  get objects(): ReadonlyMap<string, Uint8Array> {
    return this.#objects;
  }

  /** Uploads that were begun and not ended. */
  get openUploads(): readonly string[] {
    return [...this.#uploads.values()].map(({ key }) => key);
  }

  put(key: string, bytes: Uint8Array, { ifAbsent = false } = {}): void {
    if (ifAbsent && this.conditions === "Refused") {
      throw new S3Refusal(501, "NotImplemented", "This server does not know what that header asks for");
    }
    if (ifAbsent && this.conditions === "Honoured" && this.#objects.has(key)) {
      throw new S3Refusal(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold");
    }
    this.#keep(key, bytes.slice());
  }

  get(key: string): Uint8Array {
    const bytes = this.#objects.get(key);
    if (bytes === undefined) throw new S3Refusal(404, "NoSuchKey", "The specified key does not exist.");
    return bytes;
  }

  /** Removes objects; one that is not there is fine. */
  remove(keys: readonly string[]): void {
    for (const key of keys) {
      if (this.#objects.delete(key)) this.#note(key, null);
    }
  }

  list(prefix: string, { after }: { after: string }): Page {
    this.#catchUp();
    const keys = [...this.#listed.keys()].filter((key) => key.startsWith(prefix) && key > after).sort();
    const page = keys.slice(0, this.#pageKeys);
    return {
      keys: page.map((key) => ({ key, bytes: this.#listed.get(key) ?? 0 })),
      after: keys.length > page.length ? (page.at(-1) ?? null) : null,
    };
  }

  /** Begins an upload in parts and returns its id. */
  begin(key: string): string {
    const id = this.#newId("upload");
    this.#uploads.set(id, { key, parts: new Map() });
    return id;
  }

  /** Takes a part, in place of an earlier one of that number, and returns its ETag. */
  putPart(upload: Readonly<{ key: string; id: string }>, part: number, bytes: Uint8Array): string {
    const { parts } = this.#upload(upload);
    const etag = `"${this.#newId("part")}"`;
    parts.set(part, { etag, bytes: bytes.slice() });
    return etag;
  }

  /** Makes an object of parts, which are gone then with all others of the upload. */
  complete(upload: Readonly<{ key: string; id: string }>, named: readonly NamedPart[]): void {
    const { parts } = this.#upload(upload);
    const found = named.map(({ part, etag }) => {
      const known = parts.get(part);
      if (known?.etag === etag) return known.bytes;
      throw new S3Refusal(400, "InvalidPart", "One or more of the specified parts could not be found.");
    });
    if (found.slice(0, -1).some(({ byteLength }) => byteLength < leastPartBytes)) {
      throw new S3Refusal(
        400,
        "EntityTooSmall",
        "Your proposed upload is smaller than the minimum allowed object size.",
      );
    }
    this.#keep(upload.key, Buffer.concat(found));
    this.#uploads.delete(upload.id);
  }

  /** Gives up an upload and its parts. */
  abort(upload: Readonly<{ key: string; id: string }>): void {
    this.#upload(upload);
    this.#uploads.delete(upload.id);
  }

  /** Uploads below a prefix that were begun and not ended. */
  uploads(prefix: string): { key: string; id: string }[] {
    const shows = (key: string) => (this.#uploadsBy === "Prefix" ? key.startsWith(prefix) : key === prefix);
    return [...this.#uploads].flatMap(([id, { key }]) => (shows(key) ? [{ key, id }] : []));
  }

  /** Changes an object's bytes behind everybody's back. */
  damage(key: string, change: (bytes: Uint8Array) => Uint8Array): void {
    this.#objects.set(key, change(this.get(key).slice()));
  }

  #keep(key: string, bytes: Uint8Array): void {
    const held = this.#objects.get(key)?.byteLength ?? 0;
    let total = bytes.byteLength - held;
    if (this.quotaBytes < Number.POSITIVE_INFINITY) for (const kept of this.#objects.values()) total += kept.byteLength;
    if (total > this.quotaBytes) throw new S3Refusal(403, "QuotaExceeded", "The bucket's quota is spent");
    this.#objects.set(key, bytes);
    this.#note(key, bytes.byteLength);
  }

  #note(key: string, bytes: number | null): void {
    this.#unlisted.push({ at: this.clock(), key, bytes });
  }

  #catchUp(): void {
    const shownUpTo = this.clock() - this.listingLagMs;
    const waiting = this.#unlisted.findIndex(({ at }) => at > shownUpTo);
    for (const { key, bytes } of this.#unlisted.splice(0, waiting < 0 ? this.#unlisted.length : waiting)) {
      if (bytes === null) this.#listed.delete(key);
      else this.#listed.set(key, bytes);
    }
  }

  #upload({ key, id }: Readonly<{ key: string; id: string }>): Upload {
    const upload = this.#uploads.get(id);
    if (upload?.key === key) return upload;
    throw new S3Refusal(404, "NoSuchUpload", "The specified multipart upload does not exist.");
  }

  #newId(what: string): string {
    this.#ids += 1;
    return `${what}-${this.#ids}`;
  }
}
