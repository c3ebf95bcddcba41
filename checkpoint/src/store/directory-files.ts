import { constants } from "node:fs";
import { type FileHandle, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { absentAsNull, accessing, errorCode } from "./file-system.ts";
import { DamagedFileError, type StoredCheckpoint, type StoredEntry, type StoredFile } from "./store.ts";

/** A checkpoint in a directory of a file system, for reading. */
export function directoryCheckpoint(directory: string): StoredCheckpoint {
  return {
    location: directory,
    entries: (limit) => accessing("list a checkpoint", directory, () => absentAsNull(() => walk(directory, limit))),
    open: (path) => openPlain(join(directory, path)),
  };
}

/** Opens a plain file; null where there is none. A link is not followed, and a pipe does not block. */
export async function openPlain(path: string): Promise<StoredFile | null> {
  const handle = await accessing("open a file", path, () => withDefects(path, () => openNoFollow(path)));
  if (handle === null) return null;
  const found = await handle.stat();
  if (!found.isFile()) {
    await handle.close();
    return null;
  }
  return {
    bytes: found.size,
    read: (target, position) =>
      accessing("read a file", path, () => withDefects(path, () => readFully(handle, { target, position }))),
    [Symbol.asyncDispose]: () => accessing("close a file", path, () => handle.close()),
  };
}

async function openNoFollow(path: string): Promise<FileHandle | null> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = errorCode(error);
    // ELOOP: a link. ENXIO: a socket.
    if (code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP" || code === "ENXIO") return null;
    throw error;
  }
}

async function readFully(
  handle: FileHandle,
  { target, position }: { target: Uint8Array; position: number },
): Promise<number> {
  let done = 0;
  while (done < target.byteLength) {
    const { bytesRead } = await handle.read(target, done, target.byteLength - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

/** Tells an error for this one file from one of the tier. */
async function withDefects<T>(path: string, access: () => Promise<T>): Promise<T> {
  try {
    return await access();
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined || !fileDefects.has(code)) throw error;
    throw new DamagedFileError(`Cannot read ${path} because the volume answered ${code} for it`, { cause: error });
  }
}

/** The device or the file system says that this very file is bad; anything else is a failure of the tier. */
const fileDefects = new Set(["EIO", "EBADMSG", "EUCLEAN", "EILSEQ"]);

/** Everything below a directory, by names relative to it; stops one past the limit, which is enough to refuse it. */
async function walk(root: string, limit: number): Promise<StoredEntry[]> {
  const found: StoredEntry[] = [];
  const pending = [""];
  for (let prefix = pending.pop(); prefix !== undefined; prefix = pending.pop()) {
    for (const entry of await readdir(join(root, prefix), { withFileTypes: true })) {
      const path = `${prefix}${entry.name}`;
      const kind = entry.isFile() ? "file" : entry.isDirectory() ? "directory" : "other";
      found.push({ path, kind });
      if (found.length > limit) return found;
      if (kind === "directory") pending.push(`${path}/`);
    }
  }
  return found;
}
