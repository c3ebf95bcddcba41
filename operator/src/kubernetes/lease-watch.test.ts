import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { watchLease } from "./lease-watch.ts";

const lease = { namespace: "n", name: "operator" };
const line = JSON.stringify({
  type: "ADDED",
  object: {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: { namespace: "n", name: "operator", uid: "u", resourceVersion: "5" },
    spec: { holderIdentity: "a" },
  },
});

/** A watch that says what stands and ends after so many milliseconds. */
async function* endingAfter(ms: number): AsyncGenerator<Uint8Array> {
  yield Buffer.from(`${line}\n`);
  await new Promise((resolve) => setTimeout(resolve, ms));
}

describe("the watch of the lease", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test.each([
    ["seldom, where the server ends each at once", 0, 60, { least: 55, most: 75 }],
    ["soon, where each has lived", 6_000, 61, { least: 10, most: 10 }],
  ])("is opened anew %s", async (_, livesMs, seconds, { least, most }) => {
    const leaving = new AbortController();
    const heard: (string | null)[] = [];
    let opened = 0;
    const watching = watchLease(
      {
        client: {
          watch: async () => {
            opened += 1;
            return endingAfter(livesMs);
          },
        },
        lease,
        idleMs: 10_000,
        openTimeoutMs: 5_000,
        now: () => performance.now(),
        random: () => 1,
        onEvent: (record) => heard.push(record?.holder ?? null),
        onError: () => undefined,
      },
      leaving.signal,
    );
    await vi.advanceTimersByTimeAsync(seconds * 1000);
    leaving.abort();
    await watching;
    expect(opened).toBeGreaterThanOrEqual(least);
    expect(opened).toBeLessThanOrEqual(most);
    expect(new Set(heard)).toEqual(new Set(["a"]));
  });
});
