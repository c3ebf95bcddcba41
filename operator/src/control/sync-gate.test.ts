import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { SyncGate } from "./sync-gate.ts";

describe("the gate before decisions", () => {
  let synced: Set<string>;
  let added: string[];
  let lookedAt: string[];
  let logged: string[];
  let gate: SyncGate;
  let stop: AbortController;
  let running: Promise<void>;

  beforeEach(() => {
    vi.useFakeTimers();
    synced = new Set();
    added = [];
    lookedAt = [];
    logged = [];
    stop = new AbortController();
    gate = new SyncGate({
      caches: {
        get hasSynced() {
          return synced.has("a") && synced.has("b");
        },
        isSyncedFor: (namespace) => {
          lookedAt.push(namespace);
          return synced.has(namespace);
        },
      },
      queue: { add: (key) => added.push(key) },
      log: (level, message, fields) => logged.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`),
      now: Date.now,
    });
    running = gate.run(stop.signal);
  });
  afterEach(async () => {
    stop.abort();
    await running;
    vi.useRealTimers();
  });

  const after = (ms: number) => vi.advanceTimersByTimeAsync(ms);

  it("is open for a namespace that is synced, whatever becomes of another", async () => {
    expect([gate.isOpenFor("a/r"), gate.isOpenFor("b/r")]).toEqual([false, false]);
    synced.add("a");
    await after(20);
    expect(added).toEqual(["a/r"]);
    await after(600_000);
    expect([gate.isOpenFor("a/r"), gate.isOpenFor("b/r"), added]).toEqual([true, false, ["a/r"]]);
    expect(logged).toEqual(['warn not everything could be listed yet; runs it concerns wait {"namespaces":["b"]}']);
  });

  it("lets through what it held back within a second, however long the sync took", async () => {
    gate.isOpenFor("a/r");
    await after(3_600_000);
    synced.add("a").add("b");
    await after(1_000);
    expect(added).toEqual(["a/r"]);
    await running;
    expect(logged.at(-1)).toBe("info the caches are synced {}");
  });

  it("looks at each namespace once at a time, however many runs it holds back", async () => {
    for (let run = 0; run < 1_000; run += 1) gate.isOpenFor(`a/r${run}`);
    lookedAt.length = 0;
    await after(20);
    expect(lookedAt).toEqual(["a"]);
    synced.add("a");
    await after(20);
    expect(added.length).toBe(1_000);
  });

  it("ends when it is told to", async () => {
    stop.abort();
    await expect(running).resolves.toBeUndefined();
  });
});
