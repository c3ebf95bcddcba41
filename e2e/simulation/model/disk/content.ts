/** What was asked of a file and is not durable yet. */
type Write = Readonly<{ offset: number; bytes: Uint8Array }> | Readonly<{ resize: number }>;

const nothing = new Uint8Array(0);

/**
 * The bytes of a file, three times over:
 *
 *     seen      what readers on the machine get: the page cache
 *     durable   what a power cut cannot take
 *     pending   what was written since the last sync, of which a power cut leaves any part
 *
 * As long as nothing fails, `seen` is `durable` with all that is pending; after a sync that dropped pages it is not, and
 * only who reads the device itself notices.
 */
export class Content {
  /** More than the file has, so that writes in a row do not copy what is there. */
  #seen = nothing;
  #size = 0;
  #durable: Uint8Array = nothing;
  #pending: Write[] = [];

  /** A file whose bytes are durable. */
  static of(bytes: Uint8Array): Content {
    const content = new Content();
    content.#durable = bytes;
    content.#seen = bytes.slice();
    content.#size = bytes.byteLength;
    return content;
  }

  get size(): number {
    return this.#size;
  }

  /** Whether nothing waits for a sync. */
  get isSettled(): boolean {
    return this.#pending.length === 0;
  }

  /** Whether all that readers get is on the device, too. */
  get isDurable(): boolean {
    return this.isSettled && this.#durable.byteLength === this.#size;
  }

  /** What readers on the machine get. The memory stays the file's. */
  get seen(): Uint8Array {
    return this.#seen.subarray(0, this.#size);
  }

  /** What the device has, with all that was sent to it: as long as the file is, zeroes where it never got anything. */
  get onDevice(): Uint8Array {
    const bytes = this.isSettled ? this.#durable : written(this.#durable, this.#pending);
    if (bytes.byteLength === this.#size) return bytes;
    const padded = new Uint8Array(this.#size);
    padded.set(bytes.subarray(0, this.#size));
    return padded;
  }

  write(bytes: Uint8Array, offset: number): void {
    const end = Math.max(this.#size, offset + bytes.byteLength);
    if (end > this.#seen.byteLength) {
      const roomier = new Uint8Array(Math.max(end, this.#seen.byteLength * 2));
      roomier.set(this.seen);
      this.#seen = roomier;
    }
    this.#seen.set(bytes, offset);
    this.#size = end;
    this.#pending.push({ offset, bytes: bytes.slice() });
  }

  resize(size: number): void {
    const resized = new Uint8Array(size);
    resized.set(this.seen.subarray(0, size));
    this.#seen = resized;
    this.#size = size;
    this.#pending.push({ resize: size });
  }

  sync(): void {
    this.#durable = written(this.#durable, this.#pending);
    this.#pending = [];
  }

  /** A sync that failed: the pages count as clean from now on, though the device has none of them. */
  dropPending(): void {
    this.#pending = [];
  }

  /** The page cache is forgotten, as under memory pressure: readers get what the device has. */
  evict(): void {
    this.#seen = this.onDevice.slice();
  }

  /** Changes what is on the device behind everybody's back, in bytes that are durable. */
  damage(change: (durable: Uint8Array) => Uint8Array): void {
    this.#durable = change(this.#durable.slice());
  }

  /**
   * What a power cut leaves: `choose` is asked once, with how many sectors there are, where anything is pending; sectors
   * that were not kept are as they were, or zeroes where the file was shorter.
   */
  afterCut(
    choose: (sectors: number) => Readonly<{ kept: readonly boolean[]; length: boolean }>,
    sectorBytes: number,
  ): Uint8Array {
    const durable = this.#durable;
    if (this.isSettled) return durable;
    const all = written(durable, this.#pending);
    const { kept, length } = choose(Math.ceil(Math.max(all.byteLength, durable.byteLength) / sectorBytes));
    const left = new Uint8Array(length ? all.byteLength : durable.byteLength);
    for (let at = 0; at < left.byteLength; at += sectorBytes) {
      const source = kept[at / sectorBytes] ? all : durable;
      left.set(source.subarray(at, Math.min(at + sectorBytes, left.byteLength)), at);
    }
    return left;
  }
}

/** What bytes say in JSON; undefined where they are none: a fault may have got at them. */
export function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** The bytes with the writes done, in their order. */
function written(durable: Uint8Array, writes: readonly Write[]): Uint8Array {
  if (writes.length === 0) return durable;
  const ends = writes.map((write) => ("resize" in write ? write.resize : write.offset + write.bytes.byteLength));
  const content = new Uint8Array(Math.max(durable.byteLength, ...ends));
  content.set(durable);
  let size = durable.byteLength;
  for (const [index, write] of writes.entries()) {
    const end = ends[index] ?? 0;
    if ("resize" in write) {
      // What is cut off is gone: should the file grow again, it reads as zeroes.
      content.fill(0, Math.min(end, size), size);
      size = end;
    } else {
      content.set(write.bytes, write.offset);
      size = Math.max(size, end);
    }
  }
  return content.subarray(0, size);
}
