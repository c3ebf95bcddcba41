import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Client } from "minio";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type ObjectStore, startStore, storeKinds } from "../store.ts";
import { storeClient } from "../store-access.ts";
import { created, keysBelow, outcomeOf, put, read } from "../test-requests.ts";
import { type ErrorCode, type Fault, refusals } from "./fault.ts";
import { type FaultProxy, startFaultProxy } from "./fault-proxy.ts";

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "trainingrun-proxy-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const large = Buffer.alloc(3 * 1024 * 1024, "0123456789");
const half = large.length / 2;
const patience = { timeout: 30_000, interval: 20 };

describe.each(storeKinds)("between a client and %s", (kind) => {
  let store: ObjectStore;
  let proxy: FaultProxy;
  /** Goes through the proxy. */
  let client: Client;
  /** Sees what the store really has. */
  let direct: Client;
  let base: string;
  let count = 0;

  beforeAll(async () => {
    store = await startStore(kind, { directory: join(directory, kind) });
    direct = storeClient(store.access);
  });
  afterAll(() => store?.stop());
  beforeEach(async () => {
    proxy = await startFaultProxy({ target: store.access.endpoint, credentials: store.access });
    client = storeClient({ ...store.access, endpoint: proxy.endpoint });
    count += 1;
    base = `t${count}`;
  });
  afterEach(() => proxy.stop());

  const has = async (key: string) => (await keysBelow(direct, base)).includes(key);
  const lastEntry = () => proxy.log.at(-1);
  const unsignedPut = async (body: Buffer, options: { signal?: AbortSignal; headers?: Record<string, string> }) =>
    fetch(await client.presignedPutObject("checkpoints", `${base}/a`), {
      method: "PUT",
      body: new Uint8Array(body),
      ...options,
    });
  const befall = (fault: Fault) => proxy.add({ fault, key: /^t/ });

  test("without a rule everything passes, with signatures as they were made, and is logged", async () => {
    const key = `${base}/a b+c/ü`;
    await put(client, key, large);
    expect(await read(client, key)).toBe(large.toString());
    expect(await outcomeOf(put(client, key, "x", created))).toBe("PreconditionFailed");
    await client.removeObject("checkpoints", key);
    expect(
      proxy.log.map(({ operation, status, requestBytes, replyBytes }) => [operation, status, requestBytes, replyBytes]),
    ).toEqual([
      ["PutObject", 200, large.length, 0],
      ["GetObject", 200, 0, large.length],
      ["PutObject", 412, expect.any(Number), expect.any(Number)],
      ["DeleteObject", 204, 0, 0],
    ]);
    expect(proxy.log.every((entry) => entry.key === key && entry.isOver && !entry.isAborted)).toBe(true);
  });

  test.each(Object.keys(refusals) as ErrorCode[])("answers %s in the store's place", async (code) => {
    befall({ kind: "Answer", code });
    const { status } = refusals[code];
    const outcome = await outcomeOf(put(client, `${base}/a`, large));
    // The client reads no further than the status where it would try again.
    expect(outcome).toMatch([429, 500, 503].some((again) => again === status) ? `${status}` : code);
    expect(lastEntry()).toMatchObject({ status, storeStatus: undefined, fault: "Answer" });
    expect(await has(`${base}/a`)).toBe(false);
  });

  test("answers with a web page that says nothing of the store", async () => {
    befall({ kind: "Page", status: 404 });
    await put(client, `${base}/a`, "x").catch(() => {});
    expect(lastEntry()).toMatchObject({ status: 404, storeStatus: undefined, fault: "Page" });
    expect(await has(`${base}/a`)).toBe(false);
  });

  test("resets the connection before the store hears of the request", async () => {
    befall({ kind: "Reset" });
    expect(await outcomeOf(put(client, `${base}/a`, "x"))).toBe("ECONNRESET");
    expect(lastEntry()).toMatchObject({ storeStatus: undefined, isAborted: true, requestBytes: 0 });
    expect(await has(`${base}/a`)).toBe(false);
  });

  test("loses the reply of a write that the store has done", async () => {
    befall({ kind: "LoseReply" });
    expect(await outcomeOf(put(client, `${base}/a`, "mine", created))).toBe("ECONNRESET");
    expect(lastEntry()).toMatchObject({ status: undefined, storeStatus: 200, isAborted: true });
    proxy.clear();
    expect(await outcomeOf(put(client, `${base}/a`, "again", created))).toBe("PreconditionFailed");
    expect(await read(client, `${base}/a`)).toBe("mine");
  });

  test("holds a request, or the reply to it, until its rule is removed", async () => {
    const held = proxy.add({ fault: { kind: "Hold", what: "Request" }, key: /early$/ });
    const reply = proxy.add({ fault: { kind: "Hold", what: "Reply" }, key: /late$/ });
    const early = outcomeOf(put(client, `${base}/early`, "x"));
    const late = outcomeOf(put(client, `${base}/late`, "x"));
    await expect.poll(() => has(`${base}/late`), patience).toBe(true);
    expect(await has(`${base}/early`)).toBe(false);
    expect(proxy.log.map(({ isOver }) => isOver)).toEqual([false, false]);
    held.remove();
    expect(await early).toBe("Done");
    reply.remove();
    expect(await late).toBe("Done");
  });

  test("brings a request to the store after its client has given it up", async () => {
    const rule = proxy.add({ fault: { kind: "ArriveLate" }, key: /zombie$/ });
    expect(await outcomeOf(put(client, `${base}/zombie`, "late"))).toBe("ECONNRESET");
    // Time enough for it to arrive, were it not kept.
    for (const name of ["a", "b", "c"]) await put(client, `${base}/${name}`, large);
    expect(await has(`${base}/zombie`)).toBe(false);
    rule.remove();
    await proxy.settled();
    expect(proxy.log[0]).toMatchObject({ storeStatus: 200, isAborted: true });
    expect(await read(direct, `${base}/zombie`)).toBe("late");
  });

  test("cuts an upload half way: the store has no such object", async () => {
    befall({ kind: "CutUpload", afterBytes: half });
    expect(await outcomeOf(put(client, `${base}/a`, large))).toMatch(/ECONNRESET|EPIPE/);
    expect(lastEntry()).toMatchObject({ requestBytes: half, status: undefined, isAborted: true });
    expect(await has(`${base}/a`)).toBe(false);
  });

  test("cuts a download half way: the client sees that it is not whole", async () => {
    await put(direct, `${base}/a`, large);
    befall({ kind: "CutDownload", afterBytes: half });
    expect(await outcomeOf(read(client, `${base}/a`))).toBe("ECONNRESET");
    expect(lastEntry()).toMatchObject({ status: 200, replyBytes: half, isAborted: true });
  });

  test("shortens a download: the client sees less, and no error", async () => {
    await put(direct, `${base}/a`, large);
    befall({ kind: "ShortenDownload", afterBytes: half });
    expect(await read(client, `${base}/a`)).toBe(large.subarray(0, half).toString());
    expect(lastEntry()).toMatchObject({ status: 200, replyBytes: half, isAborted: false });
  });

  test("flips one bit of a download", async () => {
    await put(direct, `${base}/a`, "0123456789");
    befall({ kind: "FlipDownload", atByte: 4 });
    expect(await read(client, `${base}/a`)).toBe("0123556789");
  });

  test.each([
    ["before the request", { kind: "Delay", ms: 200 }],
    ["in the middle of the upload", { kind: "StallUpload", afterBytes: half, ms: 200 }],
    ["in the middle of the download", { kind: "StallDownload", afterBytes: half, ms: 200 }],
  ] as const)("waits %s, and then goes on", async (_, fault) => {
    const rule = befall(fault);
    const started = performance.now();
    await put(client, `${base}/a`, large);
    expect(await read(client, `${base}/a`)).toBe(large.toString());
    // A lower bound only: the wait is the fault itself.
    expect(performance.now() - started).toBeGreaterThanOrEqual(200 - 2);
    expect(rule.hits).toBe(2);
  });

  test("an upload whose client gave up while it was stalled breaks off", async () => {
    befall({ kind: "StallUpload", afterBytes: half, ms: 1_000 });
    const impatient = new AbortController();
    // More than the kernel's buffers hold: what they hold would still arrive.
    const upload = unsignedPut(Buffer.alloc(48 * 1024 * 1024), { signal: impatient.signal });
    upload.catch(() => {});
    await expect.poll(() => lastEntry()?.requestBytes, patience).toBe(half);
    impatient.abort();
    await expect(upload).rejects.toThrow("aborted");
    await proxy.settled();
    expect(lastEntry()).toMatchObject({ isAborted: true, isOver: true, storeStatus: undefined });
  });

  test("half an upload of a body that is neither signed nor summed becomes an object in versitygw alone", async () => {
    befall({ kind: "CutUpload", afterBytes: half });
    await expect(unsignedPut(large, {})).rejects.toThrow("fetch failed");
    await proxy.settled();
    // What this pins: over TLS, where bodies are not signed, an object may hold less than its writer meant.
    if (kind === "versitygw") await expect.poll(() => has(`${base}/a`), patience).toBe(true);
    else expect(await has(`${base}/a`)).toBe(false);
  });

  test("half an upload of a body that is only summed becomes no object", async () => {
    befall({ kind: "CutUpload", afterBytes: half });
    const sum = createHash("md5").update(large).digest("base64");
    await expect(unsignedPut(large, { headers: { "content-md5": sum } })).rejects.toThrow("fetch failed");
    await proxy.settled();
    expect(await has(`${base}/a`)).toBe(false);
  });

  test("serves a listing from before the fault", async () => {
    await put(client, `${base}/a`, "x");
    expect(await keysBelow(client, `${base}/`)).toEqual([`${base}/a`]);
    const rule = proxy.add({ fault: { kind: "StaleList" }, operation: "ListObjects" });
    await put(client, `${base}/b`, "x");
    expect(await keysBelow(client, `${base}/`)).toEqual([`${base}/a`]);
    rule.remove();
    expect(await keysBelow(client, `${base}/`)).toEqual([`${base}/a`, `${base}/b`]);
  });

  test("serves a listing that leaves keys out", async () => {
    for (const name of ["a", "b", "c"]) await put(client, `${base}/${name}`, "x");
    proxy.add({ fault: { kind: "OmitFromList", key: /b$/ }, operation: "ListObjects" });
    expect(await keysBelow(client, `${base}/`)).toEqual([`${base}/a`, `${base}/c`]);
  });

  test("plays a store that does not know conditions", async () => {
    befall({ kind: "IgnoreConditions" });
    await put(client, `${base}/a`, "first", created);
    await put(client, `${base}/a`, "second", created);
    expect(await read(client, `${base}/a`)).toBe("second");
  });

  test("lets nothing pass while it is frozen, and everything after that", async () => {
    proxy.freeze();
    const writes = ["a", "b", "c"].map((name) => outcomeOf(put(client, `${base}/${name}`, "x")));
    await expect.poll(() => proxy.log.length, patience).toBe(3);
    expect(await keysBelow(direct, `${base}/`)).toEqual([]);
    proxy.thaw();
    expect(await Promise.all(writes)).toEqual(["Done", "Done", "Done"]);
    expect(await keysBelow(direct, `${base}/`)).toHaveLength(3);
  });

  test("freezes a body that is under way, too", async () => {
    const upload = request(await client.presignedPutObject("checkpoints", `${base}/a`), {
      method: "PUT",
      headers: { "content-length": large.length },
    });
    upload.write(large.subarray(0, half));
    await expect.poll(() => lastEntry()?.requestBytes, patience).toBe(half);
    proxy.freeze();
    upload.end(large.subarray(half));
    await keysBelow(direct, base);
    expect(lastEntry()).toMatchObject({ requestBytes: half, isOver: false });
    proxy.thaw();
    const [response]: IncomingMessage[] = await once(upload, "response");
    response?.resume();
    expect(response?.statusCode).toBe(200);
    expect(await read(direct, `${base}/a`)).toBe(large.toString());
  });

  test("a store that is down looks like a broken network", async () => {
    await store.stop();
    try {
      expect(await outcomeOf(put(client, `${base}/a`, "x"))).toBe("ECONNRESET");
      expect(lastEntry()).toMatchObject({ problem: expect.stringContaining("ECONNREFUSED"), isAborted: true });
    } finally {
      await store.start();
    }
    await put(client, `${base}/a`, "x");
  });
});
