/** Big enough that a message per slab costs nothing, small enough that writing begins soon. */
export const slabBytes = 2 ** 21;
/** No more memory than this goes into slabs, whatever the size of the model: 32 MiB. */
export const maxSlabs = 16;

/** How many slabs a save of so many bytes in so many files makes use of. */
export function slabsFor(bytes: number, files: number): number {
  return Math.min(maxSlabs, Math.ceil(bytes / slabBytes) + files);
}

/**
 * Memory that two threads see. Every page is touched here, by the thread that can spare the time: the first touch costs
 * many times what a copy into warm memory does. It need not be aligned for direct I/O, which has buffers of its own;
 * WebAssembly's memory is, but reserves gigabytes of addresses for each slab, which a process may be forbidden to.
 */
export function warmSlab(): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(slabBytes);
  new Uint8Array(memory).fill(1);
  return memory;
}
