import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Client } from "minio";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { resumedAt, runUid } from "../../checkpoint/test/fixture.ts";
import {
  contentsOf,
  copyOf,
  makeTemplate,
  mirror,
  newVolume,
  type RunCopy,
  type RunTemplate,
  restoreAttempt,
} from "./mirrored-run.ts";
import type { Fault } from "./proxy/fault.ts";
import { type FaultProxy, startFaultProxy } from "./proxy/fault-proxy.ts";
import type { Rule } from "./proxy/rules.ts";
import { failureOf, impatient, openRunStore, plainSentence } from "./run-store.ts";
import { type ObjectStore, startStore, storeKinds } from "./store.ts";
import { storeClient } from "./store-access.ts";

/** Nothing may move for so long; a stall of the tests is longer, or shorter where it is only slow. */
const quick = { ...impatient, requestMs: 1_000 };
const [long, short] = [60_000, 150];
const weights = /step-000000000030-a0001\/model/;
const mirroredWeights = /step-000000000020-a0001\/model/;

/** What can happen to the upload of step 30. Where a sentence stands, it fails with that one for as long as it lasts. */
const uploads: readonly (readonly [string, Omit<Rule, "fault"> & { fault: Fault }, string | null])[] = [
  ["is slow", { fault: { kind: "StallUpload", afterBytes: 500, ms: short }, key: weights }, null],
  [
    "is stalled half way, once",
    { fault: { kind: "StallUpload", afterBytes: 500, ms: long }, key: weights, nth: 1 },
    null,
  ],
  [
    "is stalled half way",
    { fault: { kind: "StallUpload", afterBytes: 500, ms: long }, key: weights },
    "EndpointUnreachable: Cannot put KEY in STORE/checkpoints because the connection failed with ETIMEDOUT: correct checkpoint.objectStore.endpoint, or let pods reach it",
  ],
  ["is cut half way, once", { fault: { kind: "CutUpload", afterBytes: 500 }, key: weights, nth: 1 }, null],
  [
    "is cut half way",
    { fault: { kind: "CutUpload", afterBytes: 500 }, key: weights },
    "EndpointUnreachable: Cannot put KEY in STORE/checkpoints because the connection failed with ECONNRESET: correct checkpoint.objectStore.endpoint, or let pods reach it",
  ],
  [
    "is answered by 500 here and there",
    { fault: { kind: "Answer", code: "InternalError" }, chance: { of: 0.3, seed: 3 } },
    null,
  ],
  [
    "is answered by 500",
    { fault: { kind: "Answer", code: "InternalError" }, method: "PUT" },
    "StoreFailing: Cannot put KEY in STORE/checkpoints because it answered 500 InternalError: look at the store's own logs; it is tried again",
  ],
  [
    "is answered by 503 twice",
    { fault: { kind: "Answer", code: "ServiceUnavailable" }, method: "PUT", chance: { of: 0.3, seed: 5 } },
    null,
  ],
  [
    "is asked to slow down",
    { fault: { kind: "Answer", code: "SlowDown" }, method: "PUT" },
    "Throttled: Cannot put KEY in STORE/checkpoints because it answered 503 SlowDown: it asks for fewer requests; it is tried again",
  ],
  [
    "is asked to slow down by 429",
    { fault: { kind: "Answer", code: "TooManyRequests" }, method: "PUT" },
    "Throttled: Cannot put KEY in STORE/checkpoints because it answered 429 TooManyRequests: it asks for fewer requests; it is tried again",
  ],
  [
    "meets another conditional write, once",
    { fault: { kind: "Answer", code: "OperationAborted" }, operation: "PutObject", key: /log\//, nth: 1 },
    null,
  ],
  [
    "is made with keys that have expired",
    { fault: { kind: "Answer", code: "ExpiredToken" }, method: "PUT" },
    "CredentialsExpired: Cannot put KEY in STORE/checkpoints because it answered 403 ExpiredToken: put fresh keys into the Secret that checkpoint.objectStore.credentialsSecretName names",
  ],
  [
    "is made under a clock that is wrong",
    { fault: { kind: "Answer", code: "RequestTimeTooSkewed" }, method: "PUT" },
    "ClockSkewed: Cannot put KEY in STORE/checkpoints because it answered 403 RequestTimeTooSkewed: set the clock of this node, or of the store",
  ],
  [
    "meets a bucket that was removed",
    { fault: { kind: "Answer", code: "NoSuchBucket" }, method: "PUT" },
    "BucketMissing: Cannot put KEY in STORE/checkpoints because it answered 404 NoSuchBucket: create the bucket, or correct checkpoint.objectStore.bucket",
  ],
];

/** What can happen to the download of step 20: what a restore on a new volume then starts from, or says. */
const downloads: readonly (readonly [string, Rule, number | string])[] = [
  ["is slow", { fault: { kind: "StallDownload", afterBytes: 500, ms: short }, key: mirroredWeights }, 20],
  [
    "is stalled half way, once",
    { fault: { kind: "StallDownload", afterBytes: 500, ms: long }, key: mirroredWeights, nth: 2 },
    20,
  ],
  [
    "is stalled half way",
    { fault: { kind: "StallDownload", afterBytes: 500, ms: long }, key: mirroredWeights },
    "StorageUnavailable: Cannot restore attempt 2 because Cannot get KEY in STORE/checkpoints because the connection failed with ETIMEDOUT: correct checkpoint.objectStore.endpoint, or let pods reach it",
  ],
  ["is cut half way, once", { fault: { kind: "CutDownload", afterBytes: 500 }, key: mirroredWeights, nth: 2 }, 20],
  [
    "is cut half way",
    { fault: { kind: "CutDownload", afterBytes: 500 }, key: mirroredWeights },
    "StorageUnavailable: Cannot restore attempt 2 because Cannot get KEY in STORE/checkpoints because the connection failed with ECONNRESET: correct checkpoint.objectStore.endpoint, or let pods reach it",
  ],
  [
    "is shortened without a word, once",
    { fault: { kind: "ShortenDownload", afterBytes: 500 }, key: mirroredWeights, nth: 2 },
    20,
  ],
  [
    "is shortened without a word",
    { fault: { kind: "ShortenDownload", afterBytes: 500 }, key: mirroredWeights },
    "StorageUnavailable: Cannot restore attempt 2 because Cannot get KEY in STORE/checkpoints because it answered 206 IncompleteAnswer: look at the store's own logs; it is tried again",
  ],
  ["has a bit flipped, once", { fault: { kind: "FlipDownload", atByte: 600 }, key: mirroredWeights, nth: 2 }, 20],
  [
    "has a bit flipped, so that the one before is taken",
    { fault: { kind: "FlipDownload", atByte: 600 }, key: mirroredWeights },
    10,
  ],
  [
    "has a bit of a log record flipped, once",
    { fault: { kind: "FlipDownload", atByte: 100 }, key: /log\/000000000004/, nth: 1 },
    20,
  ],
  [
    "has a log record shortened, once",
    { fault: { kind: "ShortenDownload", afterBytes: 100 }, key: /log\/000000000004/, nth: 1 },
    20,
  ],
  [
    "is answered by 500 here and there",
    { fault: { kind: "Answer", code: "InternalError" }, chance: { of: 0.3, seed: 9 } },
    20,
  ],
  [
    "is answered by 500",
    { fault: { kind: "Answer", code: "InternalError" } },
    "StorageUnavailable: Cannot restore attempt 2 because Cannot list KEY in STORE/checkpoints because it answered 500 InternalError: look at the store's own logs; it is tried again",
  ],
  [
    "is looked for by a gateway that does not know the way to the store",
    { fault: { kind: "Page", status: 404 }, key: mirroredWeights },
    "StorageUnavailable: Cannot restore attempt 2 because Cannot get KEY in STORE/checkpoints because it answered 404 and no error that S3 knows: what answers there does not speak S3: correct checkpoint.objectStore.endpoint",
  ],
  ["is looked for by one that answers HEAD so", { fault: { kind: "Page", status: 404 }, method: "HEAD" }, 20],
  ["is listed without the newest record", { fault: { kind: "OmitFromList", key: /log\/000000000004/ } }, 20],
  ["is listed without a record in the middle", { fault: { kind: "OmitFromList", key: /log\/000000000003/ } }, 20],
  ["is listed without any record but the first", { fault: { kind: "OmitFromList", key: /log\/00000000000[2-9]/ } }, 20],
];

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "trainingrun-faults-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

describe.each(storeKinds)("on %s", (kind) => {
  let server: ObjectStore;
  let client: Client;
  let known: RunTemplate | undefined;
  let proxy: FaultProxy;
  let run: RunCopy;
  beforeAll(async () => {
    server = await startStore(kind, { directory: join(directory, kind) });
    client = storeClient(server.access);
  });
  afterAll(() => server?.stop());
  beforeEach(async () => {
    known ??= await makeTemplate(server.access, join(directory, `${kind}-template`));
    run = await copyOf(known, client);
    proxy = await startFaultProxy({ target: server.access.endpoint, credentials: server.access });
  });
  afterEach(() => proxy.stop());

  const open = (options: Parameters<typeof openRunStore>[1] = {}) =>
    openRunStore(server.access, { runUid, prefix: run.prefix, ...options });
  const through = (patience = quick) => open({ endpoint: proxy.endpoint, patience });

  test.each(uploads)("an upload that %s", async (_, rule, sentence) => {
    const store = await through(sentence === null ? { ...quick, tries: 12 } : quick);
    const before = await contentsOf(await open());
    const upload = () => mirror({ from: run.volume, to: store, attempt: 1 }, 30);
    const active = proxy.add(rule);
    if (sentence !== null) {
      const failed = await failureOf(upload(), server.access);
      expect(failed).toEqual({ problem: sentence.split(":")[0], sentence: sentence.replace(/^\w+: /, "") });
      const after = await contentsOf(await open());
      // Whoever reads now finds the previous checkpoint whole, and nothing that looks like the new one.
      expect({ ...after, names: before.names }).toEqual(before);
      active.remove();
    }
    await upload();
    expect(active.hits).toBeGreaterThanOrEqual(1);
    expect(await contentsOf(await open())).toMatchObject({
      committed: [5, 10, 20, 30],
      whole: [5, 10, 20, 30],
      broken: [],
      damaged: [],
    });
  });

  test.each(downloads)("a restore whose download %s", async (_, rule, expected) => {
    const objectStore = await through({ ...quick, tries: typeof expected === "string" ? 2 : 12 });
    const active = proxy.add(rule);
    const volume = await newVolume();
    const outcome = await restoreAttempt(volume, { attempt: 2, objectStore });
    expect(active.hits).toBeGreaterThanOrEqual(1);
    if (outcome.kind === "failed") {
      expect(`${outcome.failure}: ${plainSentence(outcome.message, server.access)}`).toBe(expected);
      // It has concluded nothing from a store that it could not read.
      expect(await contentsOf(await open())).toMatchObject({ opened: { attempt: 1 }, refused: [], records: 4 });
      active.remove();
      expect(resumedAt(await restoreAttempt(volume, { attempt: 2, objectStore }))).toBe(20);
      return;
    }
    expect(resumedAt(outcome)).toBe(expected);
    expect(await contentsOf(volume)).toMatchObject({ broken: [], whole: [expected] });
    // What it carries on in the log is all that was there.
    expect(await contentsOf(await open())).toMatchObject({ committed: [5, 10, 20], damaged: [], broken: [] });
  });

  test("a listing from before a checkpoint hides neither it nor its commit", async () => {
    const store = await through();
    await contentsOf(store);
    proxy.add({ fault: { kind: "StaleList" }, operation: "ListObjects" });
    await mirror({ from: run.volume, to: await open(), attempt: 1 }, 30);
    // Looked at by another process, through the same stale listings.
    expect(await contentsOf(await through())).toMatchObject({ committed: [5, 10, 20, 30], records: 5, damaged: [] });
  });

  test("a store that is down says so, and the run goes on when it is back", async () => {
    const objectStore = await through();
    const volume = await newVolume();
    await server.stop();
    try {
      expect(await failureOf(mirror({ from: run.volume, to: objectStore, attempt: 1 }, 30), server.access)).toEqual({
        problem: "EndpointUnreachable",
        sentence:
          "Cannot look at KEY in STORE/checkpoints because the connection failed with ECONNRESET: correct checkpoint.objectStore.endpoint, or let pods reach it",
      });
      expect(await restoreAttempt(volume, { attempt: 2, objectStore })).toMatchObject({
        kind: "failed",
        failure: "StorageUnavailable",
      });
      expect(await failureOf(open(), server.access)).toEqual({
        problem: "EndpointUnreachable",
        sentence:
          "Cannot list KEY in STORE/checkpoints because the connection failed with ECONNREFUSED: correct checkpoint.objectStore.endpoint, or let pods reach it",
      });
    } finally {
      await server.start();
    }
    expect(resumedAt(await restoreAttempt(volume, { attempt: 2, objectStore }))).toBe(20);
  });

  test("a connection that died while it waited for the next request is not noticed", async () => {
    const store = await through({ ...quick, tries: 2 });
    await contentsOf(store);
    await server.stop();
    await server.start();
    expect(await contentsOf(store)).toMatchObject({ whole: [5, 10, 20] });
  });
});
