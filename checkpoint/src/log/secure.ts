import { limits } from "../limits.ts";
import { StorageUnavailableError, type Store } from "../store/store.ts";
import { readLog } from "./read.ts";
import type { LogRecord } from "./record.ts";

/**
 * Makes the newest record of that meaning durable for certain. An append that failed, or whose process died, may have
 * left its record in sight and not on the disk; who builds on it must not trust a later sync, which may succeed without
 * the bytes (I3). A record that is not among those since the newest `open` is carried by that one, and needs nothing.
 */
export async function secureRecord(
  store: Store,
  isMeant: (record: LogRecord) => boolean,
  { signal }: { signal?: AbortSignal } = {},
): Promise<void> {
  const { records } = await readLog(store, signal === undefined ? {} : { signal });
  const meant = records.findLast((entry) => "record" in entry && isMeant(entry.record));
  if (meant === undefined) return;
  const bytes = await store.readRecord(meant.number, limits.recordBytes);
  if (bytes === null) {
    throw new StorageUnavailableError(
      `Cannot rely on log record ${meant.number} of run ${store.runUid} because it was there and is not now`,
    );
  }
  await store.rewriteRecord(meant.number, bytes);
}
