import { constants } from "node:fs";
import { type FileHandle, lstat, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { DirectReader } from "./direct-io-reader.ts";
import { absentAsNull, accessing, errorCode } from "./file-system.ts";
import { DamagedFileError, type ReadFrom, type StoredCheckpoint, type StoredEntry, type StoredFile } from "./store.ts";

/** A checkpoint in a directory of a file system, for reading. */
export function directoryCheckpoint(directory: string): StoredCheckpoint {
  return {
    location: directory,
    entries: (limit) => accessing("list a checkpoint", directory, () => absentAsNull(() => walk(directory, limit))),
    open: (path, from) => openPlain(join(directory, path), from),
  };
}

/** Opens a plain file; null where there is none. A link is not followed, and a pipe does not block. */
export async function openPlain(path: string, from: ReadFrom = "Anywhere"): Promise<StoredFile | null> {
  const opening = <T>(open: () => Promise<T>) => accessing("open a file", path, () => withDefects(path, open));
  const handle = await opening(() => openNoFollow(path));
  if (handle === null) return null;
  const stack = new AsyncDisposableStack();
  stack.defer(() => handle.close());
  const close = () => closeAfterReading(stack);
  try {
    const found = await handle.stat();
    if (!found.isFile()) {
      await close();
      return null;
    }
    const reader = from === "Anywhere" ? null : stack.use(await opening(() => DirectReader.open(path, handle)));
    const read: StoredFile["read"] = (target, position) =>
      reader === null ? readFully(handle, { target, position }) : reader.read(target, position);
    return {
      bytes: found.size,
      get cached() {
        return reader?.cached;
      },
      read: (target, position) => accessing("read a file", path, () => withDefects(path, () => read(target, position))),
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * Closing what was only read can lose nothing, so a device's error then says nothing about the bytes that were handed
 * out; thrown while a reader refuses them, it would even hide why.
 */
async function closeAfterReading(stack: AsyncDisposableStack): Promise<void> {
  try {
    await stack.disposeAsync();
  } catch (error) {
    // Suppressed: two descriptors of one file, both of which failed.
    if (errorCode(error) === undefined && !(error instanceof SuppressedError)) throw error;
  }
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

/** Tells an error for this one file, or directory, from one of the tier. */
export async function withDefects<T>(path: string, access: () => Promise<T>): Promise<T> {
  try {
    return await access();
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined || !fileDefects.has(code)) throw error;
    throw new DamagedFileError(`Cannot read ${path} because the volume answered ${code} for it`, { cause: error });
  }
}

/** The device or the file system says that this very file, or directory, is bad; anything else is a failure of the tier. */
const fileDefects = new Set(["EIO", "EBADMSG", "EUCLEAN", "EILSEQ"]);

/**
 * Everything below a directory, by names relative to it; stops one past the limit, which is enough to refuse it. What is
 * no directory itself, such as a link to one, is not entered: its bytes may lie anywhere (I12).
 */
async function walk(root: string, limit: number): Promise<StoredEntry[]> {
  if (!(await withDefects(root, () => lstat(root))).isDirectory()) return [{ path: ".", kind: "other" }];
  const found: StoredEntry[] = [];
  const pending = [""];
  for (let prefix = pending.pop(); prefix !== undefined; prefix = pending.pop()) {
    const directory = join(root, prefix);
    for (const entry of await withDefects(directory, () => readdir(directory, { withFileTypes: true }))) {
      const path = `${prefix}${entry.name}`;
      const kind = entry.isFile() ? "file" : entry.isDirectory() ? "directory" : "other";
      found.push({ path, kind });
      if (found.length > limit) return found;
      if (kind === "directory") pending.push(`${path}/`);
    }
  }
  return found;
}
