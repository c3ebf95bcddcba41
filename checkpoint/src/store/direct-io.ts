import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

/** Devices that refused direct access, with the code that they gave; nothing more is tried on them. */
const refusals = new Map<number, string>();

/** What systems and file systems answer where they have no direct access, or not with this alignment. */
const refusalCodes = new Set(["EINVAL", "ENOTSUP", "EOPNOTSUPP"]);

/**
 * Opens a file past the page cache; null where its file system does not take that, which is said once for each.
 * `device` is where the file lies, see `Stats.dev`.
 */
export async function openDirect(path: string, { flags, device }: { flags: number; device: number }) {
  if (refusals.has(device)) return null;
  if (constants.O_DIRECT === undefined) return refused(device, "no O_DIRECT");
  return orRefused(device, () => open(path, flags | constants.O_DIRECT));
}

/** The access's result; null where the device refuses it because it is direct. */
export async function orRefused<T>(device: number, access: () => Promise<T>): Promise<T | null> {
  try {
    return await access();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (!refusalCodes.has(code)) throw error;
    return refused(device, code);
  }
}

/** Why nothing is read from or written to this device directly; null where nothing is known against it. */
export function directRefusal(device: number): string | null {
  const code = refusals.get(device);
  return code === undefined ? null : `its file system takes no direct access (${code})`;
}

function refused(device: number, code: string): null {
  if (!refusals.has(device)) {
    refusals.set(device, code);
    process.emitWarning(
      `Checkpoints go through the page cache because direct access was answered with ${code} on device ${device}: saving is slower there, and a read may come from memory`,
      { code: "TRAININGRUN_BUFFERED_IO" },
    );
  }
  return null;
}

/** Writes all of the bytes at a position. */
export async function writeFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.byteLength - done, position + done);
    done += bytesWritten;
  }
}
