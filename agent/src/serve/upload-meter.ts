import type { MirrorState } from "@trainingrun/checkpoint/contract/agent-state.ts";

type Upload = Readonly<{ step: number; totalBytes: number; began: number; bytes: number }>;

/** How far the upload under way is, and how fast. */
export class UploadMeter {
  readonly #now: () => number;
  #upload: Upload | null = null;
  #lastRate = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** An upload begins. */
  begin({ step, bytes: totalBytes }: { step: number; bytes: number }): void {
    this.#upload = { step, totalBytes, began: this.#now(), bytes: 0 };
  }

  /** Some of it was handed to the store. */
  add(bytes: number): void {
    if (this.#upload !== null) this.#upload = { ...this.#upload, bytes: this.#upload.bytes + bytes };
  }

  /** It has ended, one way or the other. */
  end(): void {
    // One that handed nothing over, such as of a copy that was there already, says nothing of the store's speed.
    if (this.#upload !== null && this.#upload.bytes > 0) this.#lastRate = this.#rateOf(this.#upload);
    this.#upload = null;
  }

  get uploading(): MirrorState["uploading"] {
    if (this.#upload === null) return null;
    const { step, bytes, totalBytes } = this.#upload;
    return { step, bytes: Math.min(bytes, totalBytes), totalBytes };
  }

  /** Of the upload under way, else of the last one; 0 before the first. */
  get bytesPerSecond(): number {
    const rate = this.#upload === null || this.#upload.bytes === 0 ? this.#lastRate : this.#rateOf(this.#upload);
    return Math.round(rate);
  }

  #rateOf({ bytes, began }: Upload): number {
    return (bytes * 1000) / Math.max(1, this.#now() - began);
  }
}
