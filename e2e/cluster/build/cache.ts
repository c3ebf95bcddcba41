import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm, stat, utimes } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, dirname, join } from "node:path";
import { type LockOptions, withLock } from "../processes/lock.ts";

/** One thing to keep in the cache. */
export interface CacheEntry extends LockOptions {
  /** Names all that it is made from: another name is another thing, and one that is there is never made again. */
  readonly name: string;
  /** What is done when it is missing, and how long that usually takes. */
  readonly what: string;
}

const unusedMs = 30 * 24 * 3600 * 1000;

/** The user's cache of what takes long to make. It is shared by all clones of the project, so nothing in it changes. */
export function cacheDirectory(): string {
  const { TRAININGRUN_CACHE, XDG_CACHE_HOME } = process.env;
  return TRAININGRUN_CACHE ?? join(XDG_CACHE_HOME ?? join(homedir(), ".cache"), "trainingrun");
}

/**
 * The cache's directory of a name. Where there is none, `make` fills an empty one, which is then renamed: the directory
 * appears whole or not at all, whatever happens meanwhile, and of several that want it at once one makes it.
 */
export async function cached(entry: CacheEntry, make: (directory: string) => Promise<void>): Promise<string> {
  const directory = join(cacheDirectory(), entry.name);
  if (existsSync(directory)) {
    await markUsed(directory);
    return directory;
  }
  await mkdir(cacheDirectory(), { recursive: true });
  await withLock(directory, entry, async () => {
    if (existsSync(directory)) return;
    entry.report(`${entry.what}, then cached in ${directory}`);
    const prefix = `${directory}.unfinished-`;
    // Nobody else makes it now, so whatever unfinished one lies here was killed.
    await removeByPrefix(dirname(prefix), basename(prefix));
    const unfinished = await mkdtemp(prefix);
    try {
      await make(unfinished);
      await rename(unfinished, directory);
      await markUsed(directory);
      await removeUnused(entry.name);
    } finally {
      await rm(unfinished, { recursive: true, force: true });
    }
  });
  return directory;
}

/** The time of a directory says when it was last wanted. Best effort: another user's cache may be read only. */
async function markUsed(directory: string): Promise<void> {
  await utimes(directory, new Date(), new Date()).catch(() => {});
}

/** Removes what nobody has wanted for a month of what a new thing takes the place of: the same name, another digest. */
async function removeUnused(name: string): Promise<void> {
  const kind = name.slice(0, name.lastIndexOf("-") + 1);
  for (const other of await readdir(cacheDirectory())) {
    const isOfKind = other.startsWith(kind) && /^[0-9a-f]{12}$/.test(other.slice(kind.length));
    if (!isOfKind || other === name) continue;
    const path = join(cacheDirectory(), other);
    // Another clone may remove it at the same moment; whatever else keeps it is no reason to fail here.
    const wanted = await stat(path).catch(() => null);
    if (wanted !== null && Date.now() - wanted.mtimeMs > unusedMs) {
      await rm(path, { recursive: true, force: true }).catch(() => {});
    }
  }
}

/** Removes the entries of a directory whose names begin so. */
export async function removeByPrefix(directory: string, prefix: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (name.startsWith(prefix)) await rm(join(directory, name), { recursive: true, force: true });
  }
}
