import { open, rename, stat, truncate, unlink } from "node:fs/promises";

/** Damages to stored bytes, for tests and measures. Each changes what is there, or throws. */

/** Cuts a file to its first `bytes`. */
export async function truncateFile(path: string, bytes: number): Promise<void> {
  if (bytes >= (await stat(path)).size)
    throw new RangeError(`Cannot damage ${path} because it is not longer: ${bytes}`);
  await truncate(path, bytes);
}

/** Inverts one bit, counted from the first bit of the file. */
export async function flipBit(path: string, bit: number): Promise<void> {
  const file = await open(path, "r+");
  try {
    const byte = new Uint8Array(1);
    const position = Math.floor(bit / 8);
    const { bytesRead } = await file.read(byte, 0, 1, position);
    if (bytesRead === 0) throw new RangeError(`Cannot damage ${path} because it has no bit ${bit}`);
    await file.write(
      byte.map((value) => value ^ (1 << (bit % 8))),
      0,
      1,
      position,
    );
  } finally {
    await file.close();
  }
}

/** Overwrites a range with zeros, as a file system does that lost a block; says whether a byte changed. */
export async function zeroRange(path: string, { from, bytes }: { from: number; bytes: number }): Promise<boolean> {
  const file = await open(path, "r+");
  try {
    const before = new Uint8Array(bytes);
    const { bytesRead } = await file.read(before, 0, bytes, from);
    await file.write(new Uint8Array(bytesRead), 0, bytesRead, from);
    return before.some((byte) => byte !== 0);
  } finally {
    await file.close();
  }
}

/** Gives each of two files the other's name. */
export async function swapFiles(first: string, second: string): Promise<void> {
  const aside = `${first}.aside`;
  await rename(first, aside);
  await rename(second, first);
  await rename(aside, second);
}

/** Deletes a file. */
export async function deleteFile(path: string): Promise<void> {
  await unlink(path);
}
