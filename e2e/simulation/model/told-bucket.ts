import { Bucket, type BucketOptions, type NamedPart } from "./bucket/bucket.ts";

/** What became of an object of a bucket; null where it is gone. */
export type BucketChange = Readonly<{ key: string; bytes: Uint8Array | null }>;

/** A bucket of which it is heard what is put into it and removed, whatever becomes of the answer. */
export class ToldBucket extends Bucket {
  readonly #told: (change: BucketChange) => void;

  constructor(options: BucketOptions, told: (change: BucketChange) => void) {
    super(options);
    this.#told = told;
  }

  override put(key: string, bytes: Uint8Array, how?: { ifAbsent?: boolean }): void {
    super.put(key, bytes, how);
    this.#told({ key, bytes });
  }

  override complete(upload: Readonly<{ key: string; id: string }>, named: readonly NamedPart[]): void {
    super.complete(upload, named);
    this.#told({ key: upload.key, bytes: this.get(upload.key) });
  }

  override remove(keys: readonly string[]): void {
    const there = keys.filter((key) => this.objects.has(key));
    super.remove(keys);
    for (const key of there) this.#told({ key, bytes: null });
  }
}
