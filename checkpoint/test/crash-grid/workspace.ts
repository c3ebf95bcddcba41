import { mkdtemp, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * A new empty directory, in memory where there is some: cases are many, what they cut off are calls and not a disk, and
 * none of them has to outlive anything. Whoever asked removes it.
 */
export async function makeWorkspace(prefix: string): Promise<string> {
  const memory = await stat("/dev/shm").catch(() => null);
  return mkdtemp(join(memory?.isDirectory() === true ? "/dev/shm" : tmpdir(), prefix));
}
