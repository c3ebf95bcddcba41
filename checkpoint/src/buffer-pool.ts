import { chunkBytes } from "./limits.ts";

/** Direct reads and writes take memory, offsets and lengths that are multiples of this. */
export const alignmentBytes = 4096;

/** A buffer of the pool. While somebody holds it, nobody else may change its bytes. */
type Pooled = {
  readonly bytes: Uint8Array;
  holds: number;
  released: PromiseWithResolvers<void>;
};

const maxIdle = 6;
const idle: Pooled[] = [];
const pooledBy = new WeakMap<ArrayBufferLike, Pooled>();
const alignedBuffers = new WeakSet<ArrayBufferLike>();

/**
 * Buffers of 8 MiB, lent as they are needed and given back at the end. They begin at a page of memory, so that a file
 * system may move their bytes without the page cache; and they are used again, for the first touch of fresh memory
 * costs several times what writing to warm memory does. Their bytes are whatever was there before.
 */
export class LentBuffers implements AsyncDisposable {
  readonly #limit: number;
  readonly #lent: Pooled[] = [];

  /** At most `limit` buffers at once. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** A buffer that nobody holds; it may be the one given last. Where all are held, waits until one is released. */
  async next(): Promise<Uint8Array> {
    for (;;) {
      const free = this.#lent.find(({ holds }) => holds === 0);
      if (free !== undefined) return free.bytes;
      if (this.#lent.length < this.#limit) {
        const pooled = idle.pop() ?? allocate();
        this.#lent.push(pooled);
        return pooled.bytes;
      }
      await Promise.race(this.#lent.map(({ released }) => released.promise));
    }
  }

  /** Waits for whoever holds one: no memory that a write still reads is lent to somebody else. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const pooled of this.#lent.splice(0)) {
      while (pooled.holds > 0) await pooled.released.promise;
      if (idle.length < maxIdle) idle.push(pooled);
    }
  }
}

/**
 * Keeps the memory of these bytes as it is until the function returned is called, once. Null where the memory is not of
 * the pool: then its owner says how long it stays.
 */
export function hold(bytes: Uint8Array): (() => void) | null {
  const pooled = pooledBy.get(bytes.buffer);
  if (pooled === undefined) return null;
  if (pooled.holds === 0) pooled.released = Promise.withResolvers();
  pooled.holds += 1;
  return () => {
    pooled.holds -= 1;
    if (pooled.holds === 0) pooled.released.resolve();
  };
}

/** Whether direct reads and writes may use this memory. */
export function isAligned(bytes: Uint8Array): boolean {
  return alignedBuffers.has(bytes.buffer) && bytes.byteOffset % alignmentBytes === 0;
}

/**
 * Fresh memory, of at least that many bytes, that direct reads and writes may use; null where none can be had. Of the
 * language's own memories only WebAssembly's begins at a page.
 */
export function alignedMemory(bytes: number): Uint8Array | null {
  const pages = Math.ceil(bytes / webAssemblyPageBytes);
  try {
    const memory = new Uint8Array(new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer);
    alignedBuffers.add(memory.buffer);
    return memory;
  } catch {
    // It reserves far more addresses than it takes memory, which a process may be forbidden to.
    return null;
  }
}

function allocate(): Pooled {
  const bytes = alignedMemory(chunkBytes) ?? new Uint8Array(chunkBytes);
  const pooled = { bytes, holds: 0, released: Promise.withResolvers<void>() };
  pooledBy.set(bytes.buffer, pooled);
  return pooled;
}

const webAssemblyPageBytes = 64 * 1024;

/** What is used here of a global that the types of Node leave out. */
declare const WebAssembly: {
  readonly Memory: new (size: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
};
