import { manifestName } from "../../file-path.ts";
import { inLanes } from "../../in-lanes.ts";
import { type CheckpointWriter, StorageUnavailableError } from "../store.ts";
import type { UploadedPart } from "./multipart-sums.ts";
import type { BegunUpload } from "./multipart-uploads.ts";
import type { ObjectClient } from "./object-client.ts";
import { Part } from "./part.ts";

const mebibyte = 1024 * 1024;
/** Stores take at most 10,000 parts of an object. */
const maxParts = 9_000;
const maxInFlight = 4;
const sizesAtOnce = 16;

/**
 * A checkpoint on its way into a bucket. Its keys are its own attempt's and step's, so nobody else writes them, and an
 * upload that is begun again puts the same bytes. The manifest goes last: a prefix without one is no checkpoint.
 *
 * Memory: at most five parts, of 16 MiB each up to files of 140 GiB, where it cannot hold what it is given.
 */
export class ObjectWriter implements CheckpointWriter {
  readonly #client: ObjectClient;
  readonly #prefix: string;
  readonly #written: { key: string; bytes: number }[] = [];

  constructor(client: ObjectClient, prefix: string) {
    this.#client = client;
    this.#prefix = prefix;
  }

  async write(path: string, pieces: AsyncIterable<Uint8Array>, bytes?: number): Promise<void> {
    const key = `${this.#prefix}${path}`;
    const upload = new Upload(this.#client, key, bytes);
    try {
      for await (const piece of pieces) await upload.add(piece);
      this.#written.push({ key, bytes: await upload.finish() });
    } catch (error) {
      await upload.abort();
      throw error;
    }
  }

  async publish(manifest: Uint8Array): Promise<void> {
    // A store may have answered for bytes that it does not have; the manifest may only follow what is there.
    await inLanes(this.#written, sizesAtOnce, async ({ key, bytes }) => {
      const found = await this.#client.size(key);
      if (found === bytes) return;
      throw new StorageUnavailableError(
        `Cannot publish ${this.#prefix} because ${key} has ${found ?? "no"} bytes: ${bytes} were uploaded`,
      );
    });
    await this.#client.put(`${this.#prefix}${manifestName}`, manifest, { ifAbsent: false });
  }

  /**
   * Removes nothing. Another agent may have put the same objects meanwhile, and have published them: a base is uploaded
   * by whoever finds it missing. Without a manifest they are no checkpoint, and a restore sweeps those that nobody names.
   */
  async abandon(): Promise<void> {}
}

/** Of a part of an object of that size; of the whole where it fits one. */
function partBytes(bytes: number | undefined): number {
  if (bytes === undefined) return 64 * mebibyte;
  const part = Math.max(16 * mebibyte, Math.ceil(bytes / maxParts / mebibyte) * mebibyte);
  return Math.max(1, Math.min(part, bytes));
}

/** One object: put whole where it fits one part, else in parts, some of them on their way at once. */
class Upload {
  readonly #client: ObjectClient;
  readonly #key: string;
  readonly #expected: number | undefined;
  readonly #partBytes: number;
  readonly #free: Uint8Array[] = [];
  readonly #inFlight = new Set<Promise<void>>();
  readonly #parts: UploadedPart[] = [];
  /** Begun as soon as there is to be more than one part: what it asks of the store takes as long as the first part's bytes. */
  #opening: Promise<BegunUpload> | null = null;
  #part: Part;
  #total = 0;
  #begun = 0;
  #failure: unknown = null;

  constructor(client: ObjectClient, key: string, bytes: number | undefined) {
    this.#client = client;
    this.#key = key;
    this.#expected = bytes;
    this.#partBytes = partBytes(bytes);
    this.#part = new Part(this.#partBytes, this.#free);
    if (bytes !== undefined && bytes > this.#partBytes) this.#open();
  }

  async add(piece: Uint8Array): Promise<void> {
    for (let from = 0; from < piece.byteLength; ) {
      if (this.#part.isFull) await this.#sendPart();
      const taken = this.#part.take(piece.subarray(from));
      this.#total += taken;
      from += taken;
    }
  }

  /** Makes the object readable and returns its size in bytes. */
  async finish(): Promise<number> {
    if (this.#expected !== undefined && this.#total !== this.#expected) {
      throw new RangeError(`Cannot upload ${this.#key} because it has ${this.#total} bytes: ${this.#expected} named`);
    }
    if (this.#opening === null) {
      await this.#client.put(this.#key, wholeOf(this.#part.pieces), { ifAbsent: false });
      this.#part.release();
      return this.#total;
    }
    await this.#sendPart();
    await Promise.all(this.#inFlight);
    if (this.#failure !== null) throw this.#failure;
    const parts = this.#parts.sort((a, b) => a.part - b.part);
    await this.#client.uploads.complete(await this.#opening, { parts, bytes: this.#total });
    return this.#total;
  }

  /** Ends what is on its way and gives up the parts. Never throws: what stays is found by its list later. */
  async abort(): Promise<void> {
    await Promise.all(this.#inFlight);
    this.#part.release();
    const opened = await this.#opening?.catch(() => null);
    if (opened) await this.#client.uploads.abort(opened).catch(() => {});
  }

  #open(): Promise<BegunUpload> {
    this.#opening ??= this.#begin();
    // It may fail long before the first part is full.
    this.#opening.catch(() => {});
    return this.#opening;
  }

  /** What an earlier try of this object left is given up first: MinIO lists uploads by their whole key alone. */
  async #begin(): Promise<BegunUpload> {
    const { uploads } = this.#client;
    await uploads.giveUp(this.#key, (key) => key === this.#key);
    return uploads.begin(this.#key);
  }

  async #sendPart(): Promise<void> {
    const opened = await this.#open();
    while (this.#inFlight.size >= maxInFlight) await Promise.race(this.#inFlight);
    if (this.#failure !== null) throw this.#failure;
    const part = this.#part;
    this.#begun += 1;
    const sending = this.#client.uploads.put(opened, this.#begun, ...part.pieces).then(
      (sent) => void this.#parts.push(sent),
      (error: unknown) => {
        this.#failure ??= error;
      },
    );
    const settled = sending.finally(() => {
      part.release();
      this.#inFlight.delete(settled);
    });
    this.#inFlight.add(settled);
    this.#part = new Part(this.#partBytes, this.#free);
  }
}

function wholeOf(pieces: readonly Uint8Array[]): Uint8Array {
  const [first = new Uint8Array(0), ...more] = pieces;
  return more.length === 0 ? first : Buffer.concat(pieces);
}
