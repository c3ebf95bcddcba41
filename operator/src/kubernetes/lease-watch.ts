import { ApiError } from "./api-error.ts";
import { backoffMs } from "./backoff.ts";
import type { ApiClient } from "./client.ts";
import { type LeaseRecord, leases, readLease } from "./lease-record.ts";
import { sleep } from "./sleep.ts";
import { watchEvents } from "./watch-stream.ts";

export type LeaseWatchOptions = Readonly<{
  client: Pick<ApiClient, "watch">;
  lease: Readonly<{ namespace: string; name: string }>;
  /** A watch that is silent for so long is opened anew. */
  idleMs: number;
  openTimeoutMs: number;
  /** Milliseconds of a clock that is never set. */
  now: () => number;
  random: () => number;
  /** Told of each state that the server sends; null where the Lease was deleted. Must not throw. */
  onEvent: (record: LeaseRecord | null, version: string) => void;
  /** Told of every error that was overcome. Must not throw. */
  onError: (error: unknown) => void;
}>;

/**
 * Watches one Lease until the signal is aborted, so that a change is seen when it happens. It is no more than that:
 * a state may come late or never, and whoever relies on having seen one reads it. Never rejects.
 */
export async function watchLease(options: LeaseWatchOptions, signal: AbortSignal): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    const openedAtMs = options.now();
    try {
      await watchOnce(options, signal);
    } catch (error) {
      if (signal.aborted) return;
      options.onError(error);
    }
    // A watch that ends as soon as it is open has failed, whatever it said first.
    failures = options.now() - openedAtMs >= livedMs ? 1 : failures + 1;
    await sleep(backoffMs(failures, { ...backoff, random: options.random }), signal).catch(() => undefined);
  }
}

const backoff = { firstMs: 200, maxMs: 1_000 };
const livedMs = 5_000;
const watchSeconds = 60;
const overdueSeconds = 2 * watchSeconds + 5;
const longestLineBytes = 1024 * 1024;

async function watchOnce(options: LeaseWatchOptions, signal: AbortSignal): Promise<void> {
  const { client, lease, idleMs, openTimeoutMs, random, onEvent } = options;
  const connection = new AbortController();
  try {
    // Without a version the server begins with the object as it stands, and needs the right to watch this one name alone.
    const query = {
      fieldSelector: `metadata.name=${lease.name}`,
      timeoutSeconds: String(Math.ceil(watchSeconds * (1 + random()))),
    };
    const bound = { signal: AbortSignal.any([signal, connection.signal]), openTimeoutMs };
    const body = await client.watch({ resource: leases, namespace: lease.namespace }, query, bound);
    const scope = { resource: leases, namespace: lease.namespace };
    const bounds = { scope, idleMs, overdueMs: overdueSeconds * 1000, longestLineBytes, signal: bound.signal };
    for await (const event of watchEvents(body, bounds)) {
      if (event.type === "BOOKMARK") continue;
      if (event.type === "ERROR") {
        const { status, reason, message } = event;
        throw new ApiError({ method: "WATCH", target: { resource: leases } }, { status, reason, detail: message });
      }
      const record = readLease(event.object);
      onEvent(event.type === "DELETED" ? null : record, record.resourceVersion);
    }
  } finally {
    connection.abort();
  }
}
