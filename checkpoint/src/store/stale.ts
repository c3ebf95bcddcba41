import { randomUUID } from "node:crypto";
import { lstat, readdir, rm, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { absentAsNull, writeNewFile } from "./file-system.ts";

/** What such a name belongs to takes a moment; after an hour its process is dead, or will meet an error and begin anew. */
const staleMs = 60 * 60 * 1000;

/**
 * Removes what killed processes left under names with these prefixes, files or directories. Age is told by the volume's
 * own clock, which a new file shows: no machine's clock says whether another one's process is dead.
 */
export async function removeStale(directory: string, prefixes: readonly string[]): Promise<void> {
  const isTemporary = (name: string) => prefixes.some((prefix) => name.startsWith(prefix));
  const names = (await readdir(directory)).filter(isTemporary);
  if (names.length === 0) return;
  const clock = join(directory, `${prefixes[0]}${randomUUID()}`);
  try {
    await writeNewFile(clock, []);
    const now = (await stat(clock)).mtimeMs;
    for (const name of names) {
      const path = join(directory, name);
      const found = await absentAsNull(() => lstat(path));
      if (found !== null && now - found.mtimeMs > staleMs) await rm(path, { recursive: true, force: true });
    }
  } finally {
    await absentAsNull(() => unlink(clock));
  }
}
