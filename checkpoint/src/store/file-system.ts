import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { chmod, type FileHandle, mkdir, open } from "node:fs/promises";
import { NewFileWriter } from "./direct-io-writer.ts";
import { DamagedFileError, StorageUnavailableError } from "./store.ts";

/** Group members read everything and may replace names: trainer and agent share an fsGroup, not always a user. */
export const directoryMode = 0o2770;
export const fileMode = 0o640;

/** The code of a system error, such as `ENOENT`; undefined for anything else, such as Node's own `ERR_INVALID_ARG_TYPE`. */
export function errorCode(error: unknown): string | undefined {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (typeof code !== "string") return undefined;
  return /^E[A-Z0-9]+$/.test(code) ? code : unnamed[code];
}

/** What libuv has no name for, so that Node gives the number: a spent quota, a lost export, a damaged file system. */
const unnamed: Readonly<Record<string, string>> = {
  "Unknown system error -74": "EBADMSG",
  "Unknown system error -116": "ESTALE",
  "Unknown system error -117": "EUCLEAN",
  "Unknown system error -122": "EDQUOT",
};

/** What makes a temporary name nobody else's: 32 hex digits. */
export function newNonce(): string {
  return randomUUID().replaceAll("-", "");
}

/** The value, or null where the path does not exist. */
export async function absentAsNull<T>(read: () => Promise<T>): Promise<T | null> {
  try {
    return await read();
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return null;
    throw error;
  }
}

/** Whether the volume had no room, of whatever kind. */
export function hadNoRoom(error: unknown): boolean {
  const code = errorCode(error instanceof StorageUnavailableError ? error.cause : error);
  return code === "ENOSPC" || code === "EDQUOT";
}

/** Runs an access to the tier and says in its error what was tried, where, and what to look at. */
export async function accessing<T>(what: string, path: string, access: () => Promise<T>): Promise<T> {
  try {
    return await access();
  } catch (error) {
    if (error instanceof StorageUnavailableError || error instanceof DamagedFileError) throw error;
    const code = errorCode(error);
    if (code === undefined) throw error;
    const hint = hints[code] ?? "look at the volume and its mount";
    throw new StorageUnavailableError(`Cannot ${what} because the volume answered ${code} at ${path}: ${hint}`, {
      cause: error,
    });
  }
}

/** Creates a directory for the whole group, whatever the umask. */
export async function makeDirectory(path: string, { existing }: { existing: "accept" | "refuse" }): Promise<void> {
  try {
    await mkdir(path, { mode: directoryMode });
  } catch (error) {
    if (existing === "accept" && errorCode(error) === "EEXIST") return;
    throw error;
  }
  await tolerating(() => chmod(path, directoryMode));
}

/**
 * Writes a new file and makes its bytes durable. After any error the file is left as it is: a second fsync of the same
 * file may succeed without its bytes ever having reached the disk, so nobody may try.
 */
export async function writeNewFile(path: string, pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>) {
  const handle = await open(path, "wx", fileMode);
  try {
    await tolerating(() => handle.chmod(fileMode));
    const written = await fill(path, handle, pieces);
    await handle.sync();
    const { size } = await handle.stat();
    if (size !== written) throw new Error(`Cannot trust ${path} because it has ${size} bytes: ${written} were written`);
  } finally {
    await handle.close();
  }
}

/** Makes the names in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function fill(path: string, handle: FileHandle, pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>) {
  await using writer = new NewFileWriter(path, handle);
  for await (const piece of pieces) await writer.add(piece);
  return await writer.end();
}

/** Network file systems may map all owners to one and refuse modes; then their own rules say who reads. */
async function tolerating(change: () => Promise<void>): Promise<void> {
  try {
    await change();
  } catch (error) {
    const code = errorCode(error);
    if (code !== "EPERM" && code !== "ENOTSUP" && code !== "EOPNOTSUPP") throw error;
  }
}

const hints: Readonly<Record<string, string>> = {
  EACCES: "let the pod's user or fsGroup read and write it",
  EPERM: "let the pod's user or fsGroup read and write it, on a file system with hard links",
  EROFS: "it is mounted read-only",
  ENOSPC: "free space or raise its size",
  EDQUOT: "free space or raise the quota",
  EIO: "the disk below it fails",
  ENOENT: "it is not mounted, or was removed",
  ESTALE: "its server restarted or the export moved; mount it again",
};
