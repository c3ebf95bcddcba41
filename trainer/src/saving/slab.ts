/** Big enough that a message per slab costs nothing, small enough that writing begins soon. */
export const slabBytes = 2 ** 21;
/** No more memory than this goes into slabs, whatever the size of the model: 32 MiB. */
export const maxSlabs = 16;

const pageBytes = 2 ** 16;

/** What is used here of a global that Node's typings leave out. */
declare const WebAssembly: {
  readonly Memory: new (pages: { initial: number; maximum: number; shared: true }) => { buffer: SharedArrayBuffer };
};

/** How many slabs a save of so many bytes in so many files makes use of. */
export function slabsFor(bytes: number, files: number): number {
  return Math.min(maxSlabs, Math.ceil(bytes / slabBytes) + files);
}

/**
 * Memory that two threads see, aligned to pages, as direct I/O asks for. Every page is touched here, by the thread that
 * can spare the time: the first touch costs many times what a copy into warm memory does.
 */
export function warmSlab(): SharedArrayBuffer {
  const pages = slabBytes / pageBytes;
  const { buffer } = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  new Uint8Array(buffer).fill(1);
  return buffer;
}
