import { StorageUnavailableError, type StoredCheckpoint, type StoredEntry, type StoredFile } from "../store.ts";
import type { ObjectClient } from "./object-client.ts";
import type { ListedKey } from "./s3-xml.ts";

/** A checkpoint below a prefix of a bucket, for reading. `prefix` ends with a slash. */
export function objectCheckpoint(client: ObjectClient, prefix: string): StoredCheckpoint {
  return {
    location: `${client.endpoint}/${client.bucket}/${prefix}`,
    entries: async (limit) => {
      const keys = await client.list(prefix, limit);
      return keys.length === 0 ? null : keys.map((listed) => entryOf(listed, prefix));
    },
    open: async (path) => {
      const key = `${prefix}${path}`;
      const bytes = await client.size(key);
      return bytes === null ? null : objectFile(client, { key, bytes });
    },
  };
}

/** An object whose name ends with a slash is what some tools put in the place of a folder: nothing of ours. */
function entryOf({ key, bytes }: ListedKey, prefix: string): StoredEntry {
  const path = key.slice(prefix.length);
  const kind = path === "" || path.endsWith("/") ? "other" : "file";
  return Number.isSafeInteger(bytes) ? { path, kind, bytes } : { path, kind };
}

function objectFile(client: ObjectClient, { key, bytes }: { key: string; bytes: number }): StoredFile {
  return {
    bytes,
    read: async (target, position) => {
      const wanted = target.subarray(0, Math.max(0, Math.min(target.byteLength, bytes - position)));
      const read = await client.read(key, wanted, position);
      if (read === wanted.byteLength) return read;
      // Short reads mean the end of a file to those who read. Here they mean that nothing can be said.
      const found = read === null ? "was removed" : `lost bytes (${read} of ${wanted.byteLength} from ${position} on)`;
      throw new StorageUnavailableError(
        `Cannot read ${key} in ${client.endpoint}/${client.bucket} because it ${found} while it was read: try again`,
      );
    },
    [Symbol.asyncDispose]: async () => {},
  };
}
