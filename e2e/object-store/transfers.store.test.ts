import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ObjectStore as ObjectTier } from "@trainingrun/checkpoint/store/object/object-store.ts";
import type { Client } from "minio";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { makeAuthority } from "../cluster/control-plane/certificates.ts";
import { type FaultProxy, startFaultProxy } from "./proxy/fault-proxy.ts";
import { failureOf, impatient, mountSecret, openRunStore, secretOf } from "./run-store.ts";
import { type ObjectStore, startStore, storeKinds } from "./store.ts";
import { storeClient } from "./store-access.ts";
import { keysBelow } from "./test-requests.ts";

const mebibyte = 1024 * 1024;
/** Three parts: two whole ones and a rest. */
const large = randomBytes(37 * mebibyte);
const place = { step: 40, attempt: 1 };
const name = "step-000000000040-a0001";
const manifest = Buffer.from("{}");
const roomy = { ...impatient, requestMs: 20_000 };

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "trainingrun-transfers-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function* piecesOf(bytes: Buffer, size = 8 * mebibyte): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += size) yield bytes.subarray(at, at + size);
}

async function upload(store: ObjectTier, files: Readonly<Record<string, Buffer>>): Promise<void> {
  const writer = await store.begin(place);
  for (const [path, bytes] of Object.entries(files)) await writer.write(path, piecesOf(bytes), bytes.byteLength);
  await writer.publish(manifest);
}

async function download(store: ObjectTier, path: string): Promise<Buffer | null> {
  await using file = await store.checkpoint(name).open(path);
  if (file === null) return null;
  const bytes = Buffer.alloc(file.bytes);
  for (let at = 0; at < bytes.byteLength; ) at += await file.read(bytes.subarray(at, at + 8 * mebibyte), at);
  return bytes;
}

describe.each(storeKinds)("on %s", (kind) => {
  let server: ObjectStore;
  let client: Client;
  beforeAll(async () => {
    server = await startStore(kind, { directory: join(directory, kind) });
    client = storeClient(server.access);
  });
  afterAll(() => server?.stop());

  const uploadsLeft = async () => {
    const uploads = [];
    for await (const one of client.listIncompleteUploads("checkpoints", "", true)) uploads.push(one.key);
    return uploads;
  };

  test("a large file goes up in parts and comes back byte by byte, from its middle as well", async () => {
    await using proxy = await startFaultProxy({ target: server.access.endpoint });
    const store = await openRunStore(server.access, { endpoint: proxy.endpoint, patience: roomy });
    await upload(store, {
      "large.bin": large,
      "small.bin": large.subarray(0, 16 * mebibyte),
      "empty.bin": Buffer.alloc(0),
    });
    const parts = proxy.log.filter(({ operation }) => operation === "UploadPart").map((one) => one.requestBytes);
    // On their way at once, parts arrive in any order.
    expect(parts.sort((a, b) => a - b)).toEqual([1, 1, 5 * mebibyte, 16 * mebibyte, 16 * mebibyte]);
    expect((await download(store, "large.bin"))?.equals(large)).toBe(true);
    expect((await download(store, "small.bin"))?.equals(large.subarray(0, 16 * mebibyte))).toBe(true);
    expect(await download(store, "empty.bin")).toEqual(Buffer.alloc(0));
    expect(await download(store, "absent.bin")).toBeNull();
    await using file = await store.checkpoint(name).open("large.bin");
    const middle = Buffer.alloc(1000);
    expect(await file?.read(middle, 20 * mebibyte + 7)).toBe(1000);
    expect(middle.equals(large.subarray(20 * mebibyte + 7, 20 * mebibyte + 1007))).toBe(true);
    const end = Buffer.alloc(1000);
    expect(await file?.read(end, large.byteLength - 10)).toBe(10);
    expect(await file?.read(end, large.byteLength)).toBe(0);
  });

  // The first two parts of a process ask the store which sums it checks.
  const mishaps = {
    "the reply to its beginning": { fault: { kind: "LoseReply" }, operation: "CreateUpload", nth: 2 },
    "the reply to the question for its sums": { fault: { kind: "LoseReply" }, operation: "UploadPart", nth: 1 },
    "the reply to a part": { fault: { kind: "LoseReply" }, operation: "UploadPart", nth: 4 },
    "a part half way": { fault: { kind: "CutUpload", afterBytes: 9 * mebibyte }, operation: "UploadPart", nth: 3 },
    "the reply to its completion": { fault: { kind: "LoseReply" }, operation: "CompleteUpload", nth: 1 },
    "its completion": { fault: { kind: "Answer", code: "InternalError" }, operation: "CompleteUpload", nth: 1 },
  } as const;
  test.each(Object.entries(mishaps))("an upload in parts gets over losing %s", async (_, rule) => {
    await using proxy = await startFaultProxy({ target: server.access.endpoint });
    const store = await openRunStore(server.access, { endpoint: proxy.endpoint, patience: roomy });
    const active = proxy.add(rule);
    await upload(store, { "large.bin": large });
    expect(active.hits).toBe(1);
    expect((await download(store, "large.bin"))?.equals(large)).toBe(true);
    await store.removeTemporaries();
    // MinIO lists an upload by its whole key alone; it gives up by itself what a lost reply has left.
    if (kind === "versitygw") expect(await uploadsLeft()).toEqual([]);
  });

  test.each([
    { sum: "a CRC-32", questions: 2, isIgnorant: false, refused: 2 },
    { sum: "an MD5, by a store that knows no CRC-32", questions: 1, isIgnorant: true, refused: 1 },
  ])("a part that is changed on its way is found by $sum", async ({ questions, isIgnorant, refused }) => {
    await using proxy = await startFaultProxy({ target: server.access.endpoint, credentials: server.access });
    const store = await openRunStore(server.access, { endpoint: proxy.endpoint, patience: roomy });
    const fault = { kind: "FlipUpload", atByte: 4 * mebibyte } as const;
    const flip = proxy.add({ fault, operation: "UploadPart", nth: questions + 1 });
    if (isIgnorant) proxy.add({ fault: { kind: "IgnoreSums" } });
    await upload(store, { "large.bin": large });
    expect(flip.hits).toBe(1);
    const parts = proxy.log.filter(({ operation }) => operation === "UploadPart");
    expect(parts.filter(({ status }) => status === 400)).toHaveLength(refused);
    expect((await download(store, "large.bin"))?.equals(large)).toBe(true);
  });

  test("a store that is only late with its answer is asked again for the sums it checks", async () => {
    await using proxy = await startFaultProxy({ target: server.access.endpoint, credentials: server.access });
    const store = await openRunStore(server.access, { endpoint: proxy.endpoint, patience: roomy });
    // The status of a refusal, from a store that knows no CRC-32 and takes any.
    proxy.add({ fault: { kind: "Answer", code: "RequestTimeout" }, operation: "UploadPart", nth: 1 });
    const fault = { kind: "FlipUpload", atByte: 4 * mebibyte } as const;
    const flip = proxy.add({ fault, operation: "UploadPart", nth: 3 });
    proxy.add({ fault: { kind: "IgnoreSums" } });
    await upload(store, { "large.bin": large });
    expect(flip.hits).toBe(1);
    expect((await download(store, "large.bin"))?.equals(large)).toBe(true);
  });

  test.each(["AccessDenied", "NotImplemented"] as const)(
    "keys for which listing and aborting uploads is %s still upload large files, and remove the run",
    async (code) => {
      await using proxy = await startFaultProxy({ target: server.access.endpoint });
      const store = await openRunStore(server.access, { endpoint: proxy.endpoint, patience: roomy });
      for (const operation of ["ListUploads", "AbortUpload"] as const) {
        proxy.add({ fault: { kind: "Answer", code }, operation });
      }
      await store.removeTemporaries();
      await upload(store, { "large.bin": large });
      expect((await download(store, "large.bin"))?.equals(large)).toBe(true);
      await store.removeRun();
      expect(await keysBelow(client, `runs/${store.runUid}/`)).toEqual([]);
    },
  );

  test("an upload that fails gives up its parts, and no reader ever sees the object", async () => {
    await using proxy = await startFaultProxy({ target: server.access.endpoint });
    const store = await openRunStore(server.access, { endpoint: proxy.endpoint, patience: roomy });
    const left = await uploadsLeft();
    const rule = proxy.add({ fault: { kind: "Answer", code: "InternalError" }, operation: "UploadPart" });
    expect(await failureOf(upload(store, { "large.bin": large }), server.access)).toMatchObject({
      problem: "StoreFailing",
    });
    expect(await uploadsLeft()).toEqual(left);
    expect(await store.names()).toEqual([]);
    rule.remove();
    await upload(store, { "large.bin": large });
    expect((await download(store, "large.bin"))?.equals(large)).toBe(true);
  });

  /** An upload of which a part is on its way when its process is told to stop. */
  const stopHalfWay = async (proxy: FaultProxy, options: { runUid: string }) => {
    const dying = new AbortController();
    const access = { ...options, endpoint: proxy.endpoint, patience: roomy, signal: dying.signal };
    const first = await openRunStore(server.access, access);
    const held = proxy.add({ fault: { kind: "Hold", what: "Reply" }, operation: "UploadPart", nth: 3 });
    const dead = failureOf(upload(first, { "large.bin": large }), server.access);
    await expect.poll(() => held.hits, { timeout: 30_000 }).toBe(1);
    dying.abort(new Error("SIGTERM"));
    expect(await dead).toEqual({
      problem: "Stopped",
      sentence: expect.stringMatching(/^Cannot put part \d of .* because this process is ending$/),
    });
  };

  test("an upload that is stopped gives up its parts with its last breath", async () => {
    await using proxy = await startFaultProxy({ target: server.access.endpoint });
    const left = await uploadsLeft();
    await stopHalfWay(proxy, { runUid: crypto.randomUUID() });
    expect(await uploadsLeft()).toEqual(left);
  });

  test("an upload whose process died is given up by whoever uploads the file next", async () => {
    await using proxy = await startFaultProxy({ target: server.access.endpoint });
    const options = { runUid: crypto.randomUUID() };
    const left = await uploadsLeft();
    proxy.add({ fault: { kind: "Hold", what: "Request" }, operation: "AbortUpload", nth: 2 });
    await stopHalfWay(proxy, options);
    expect(await uploadsLeft()).toHaveLength(left.length + 1);
    proxy.clear();
    await upload(await openRunStore(server.access, { ...options, patience: roomy }), { "large.bin": large });
    expect(await uploadsLeft()).toEqual(left);
  });

  test("a stop ends what is on its way at once, whatever its patience", async () => {
    await using proxy = await startFaultProxy({ target: server.access.endpoint });
    const stop = new AbortController();
    const store = await openRunStore(server.access, {
      endpoint: proxy.endpoint,
      signal: stop.signal,
      patience: { ...roomy, requestMs: 600_000 },
    });
    proxy.add({ fault: { kind: "Hold", what: "Request" } });
    const asked = [
      store.names(),
      store.recordNumbers(),
      store.readRecord(1, 100),
      upload(store, { a: Buffer.from("a") }),
    ];
    const ended = asked.map((work) => failureOf(work, server.access));
    await expect
      .poll(() => proxy.log.filter((one) => one.fault === "Hold").length, { timeout: 30_000 })
      .toBe(asked.length);
    stop.abort();
    for (const { problem } of await Promise.all(ended)) expect(problem).toBe("Stopped");
    expect((await failureOf(store.names(), server.access)).problem).toBe("Stopped");
  });

  test("names of files come back as they were given, whatever is in them", async () => {
    const store = await openRunStore(server.access);
    const paths = [
      "a b",
      "a+b",
      "a%41b",
      "100%",
      "ü/é",
      "a&b<c>",
      "q\"uote'",
      "😀",
      "a=b;c:d@e!f(g)*h",
      "007",
      "1e5",
      "~._-",
    ];
    await upload(store, Object.fromEntries(paths.map((path) => [path, Buffer.from(path)])));
    const entries = await store.checkpoint(name).entries(100);
    expect(entries?.map(({ path }) => path).toSorted()).toEqual([...paths, "MANIFEST.json"].toSorted());
    for (const path of paths) expect((await download(store, path))?.toString()).toBe(path);
    await store.remove(name);
    expect(await store.checkpoint(name).entries(100)).toBeNull();
  });

  test("more objects than a page of a listing holds are found, and removed", async () => {
    const store = await openRunStore(server.access);
    const writer = await store.begin(place);
    const numbers = Array.from({ length: 1_050 }, (_, index) => index);
    for (let at = 0; at < numbers.length; at += 50) {
      await Promise.all(
        numbers.slice(at, at + 50).map((one) => writer.write(`shard-${one}`, piecesOf(Buffer.from("x")), 1)),
      );
    }
    const later = await store.begin({ step: 50, attempt: 1 });
    await later.write("a", piecesOf(Buffer.from("x")), 1);
    expect(await store.names()).toEqual([name, "step-000000000050-a0001"]);
    expect(await store.checkpoint(name).entries(5_000)).toHaveLength(1_050);
    expect((await store.checkpoint(name).entries(10))?.length).toBeGreaterThan(10);
    await store.remove(name);
    expect(await store.names()).toEqual(["step-000000000050-a0001"]);
    await store.removeRun();
    expect(await keysBelow(client, `runs/${store.runUid}/`)).toEqual([]);
  });

  test("a removal that is not allowed is no removal", async () => {
    const mounted = await mountSecret(secretOf(server.access));
    const store = await openRunStore(server.access, { secret: mounted });
    await upload(store, { a: Buffer.from("a") });
    await mounted.replace(secretOf(await server.addUser("Read")));
    expect(await failureOf(store.remove(name), server.access)).toMatchObject({ problem: "AccessDenied" });
    await mounted.replace(secretOf(server.access));
    expect(await store.names()).toEqual([name]);
  });

  test("a checkpoint of which the store lost a file before its manifest is not published", async () => {
    const store = await openRunStore(server.access);
    const writer = await store.begin(place);
    await writer.write("a", piecesOf(Buffer.from("abc")), 3);
    await client.removeObject("checkpoints", `runs/${store.runUid}/data/${name}/a`);
    await expect(writer.publish(manifest)).rejects.toThrow("because runs/");
    await writer.abandon();
    expect(await store.names()).toEqual([]);
  });

  test("a file that is not of the size it was said to have is not put", async () => {
    const store = await openRunStore(server.access);
    const writer = await store.begin(place);
    await expect(writer.write("a", piecesOf(Buffer.from("abc")), 4)).rejects.toThrow("3 bytes: 4 named");
    expect(await store.names()).toEqual([]);
  });

  test("an upload that is given up leaves what another agent has published under the same name", async () => {
    const store = await openRunStore(server.access, { runUid: crypto.randomUUID() });
    const slow = await store.begin(place);
    await slow.write("a", piecesOf(Buffer.from("abc")), 3);
    await upload(await openRunStore(server.access, { runUid: store.runUid }), { a: Buffer.from("abc") });
    await slow.abandon();
    expect((await download(store, "a"))?.toString()).toBe("abc");
  });

  test("half an upload over TLS becomes no object: what is not signed is summed", async () => {
    const home = join(directory, `${kind}-tls`);
    const authority = await makeAuthority(join(home, "authority"));
    await using secured = await startStore(kind, { directory: join(home, "store"), authority });
    const secret = await mountSecret({
      ...secretOf(secured.access),
      "ca.crt": await readFile(authority.certificatePath, "utf8"),
    });
    const cutter = await startCutter(new URL(secured.access.endpoint));
    const store = await openRunStore(secured.access, {
      endpoint: cutter.endpoint,
      secret,
      patience: { ...roomy, tries: 1 },
    });
    cutter.cutAfter(6 * mebibyte);
    expect(await failureOf(upload(store, { "a.bin": large.subarray(0, 12 * mebibyte) }), secured.access)).toMatchObject(
      {
        problem: "EndpointUnreachable",
      },
    );
    const direct = storeClient(secured.access);
    // The server has heard of the end by the time it has answered these.
    for (let asked = 0; asked < 20; asked += 1) {
      expect(await keysBelow(direct, `runs/${store.runUid}/data/`)).toEqual([]);
    }
    await upload(store, { "a.bin": large.subarray(0, 12 * mebibyte) });
    expect(await keysBelow(direct, `runs/${store.runUid}/data/`)).toHaveLength(2);
  });
});

/** A network that breaks one connection after so many bytes towards the store, and knows nothing of what they mean. */
async function startCutter(target: URL): Promise<{ endpoint: string; cutAfter: (bytes: number) => void }> {
  let budget = Number.POSITIVE_INFINITY;
  const open = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(Number(target.port), target.hostname);
    for (const socket of [near, far]) {
      open.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => open.delete(socket));
    }
    far.pipe(near);
    near.on("data", (piece) => {
      budget -= piece.byteLength;
      if (budget > 0) return void far.write(piece);
      budget = Number.POSITIVE_INFINITY;
      near.destroy();
      // An end in good order, as of a process that was killed: the worst that a server can see.
      far.end();
    });
    near.on("close", () => far.end());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the cutter has no port");
  return {
    endpoint: `https://127.0.0.1:${address.port}`,
    cutAfter: (bytes) => {
      budget = bytes;
    },
  };
}
