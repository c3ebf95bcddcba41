import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { ObjectStoreError } from "@trainingrun/checkpoint/store/object/object-store-error.ts";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { restore, resumedAt, runUid, save, temporaryStore } from "../../../../checkpoint/test/fixture.ts";
import { mirror } from "../../../object-store/mirrored-run.ts";
import { openRunStore } from "../../../object-store/run-store.ts";
import type { BucketOptions, Right } from "./bucket.ts";
import type { BucketFault } from "./faults.ts";
import { aClientAct, playClient } from "./test/client-history.ts";
import { clientOf, serveBucket } from "./test/served-bucket.ts";

const words = new TextEncoder().encode("words");
const always = { ifAbsent: false } as const;

describe("a bucket below the product's client", () => {
  test("takes a run's checkpoints and gives them back to another node", async () => {
    const { access, bucket } = await serveBucket({ pageKeys: 3 });
    const volume = await temporaryStore();
    const objects = await openRunStore(access, { runUid });
    expect(objects.fences).toBe(true);
    await restore(volume, 1, { objectStore: objects });
    for (const step of [10, 20]) {
      await save(volume, 1, step);
      await mirror({ from: volume, to: objects, attempt: 1 }, step);
    }
    expect(bucket.objects.size).toBeGreaterThan(6);
    expect((await readLog(objects)).state.checkpoints.map(({ step }) => step)).toEqual([10, 20]);
    const elsewhere = await temporaryStore();
    expect(resumedAt(await restore(elsewhere, 2, { objectStore: objects }))).toBe(20);
    await objects.removeRun();
    expect([bucket.objects.size, bucket.openUploads]).toEqual([0, []]);
  });

  test("lets one of twenty writers have a number", async () => {
    const { access } = await serveBucket();
    const client = await clientOf(access);
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, writer) => client.put("log/1", Uint8Array.of(writer), { ifAbsent: true })),
    );
    expect(outcomes.filter((outcome) => outcome === "created")).toHaveLength(1);
  });

  test("answers the same whether its pages are long or short", async () => {
    const long = await clientOf((await serveBucket()).access);
    const short = await clientOf((await serveBucket({ pageKeys: 1 })).access);
    await fc.assert(
      fc.asyncProperty(fc.array(aClientAct(), { maxLength: 20 }), fc.uuid(), async (history, prefix) => {
        expect(await playClient(history, { client: long, prefix })).toEqual(
          await playClient(history, { client: short, prefix }),
        );
      }),
      { numRuns: 15, seed: 2 },
    );
  });
});

describe("conditions", () => {
  test.each<[NonNullable<BucketOptions["conditions"]>, boolean]>([
    ["Honoured", true],
    ["Ignored", false],
    ["Refused", false],
  ])("that are %s let the store fence: %s", async (conditions, fences) => {
    const { access } = await serveBucket({ conditions });
    expect((await openRunStore(access)).fences).toBe(fences);
  });
});

describe("a listing that lags", () => {
  test("shows later what was put and removed, while keys are read at once", async () => {
    let now = Date.now();
    const { access } = await serveBucket({ clock: () => now, listingLagMs: 60_000 });
    const client = await clientOf(access);
    const listed = async () => (await client.list("data/", 10)).map(({ key }) => key);
    await client.put("data/a", words, always);
    expect([await listed(), await client.has("data/a")]).toEqual([[], true]);
    now += 60_000;
    expect(await listed()).toEqual(["data/a"]);
    await client.remove(["data/a"]);
    expect([await listed(), await client.has("data/a")]).toEqual([["data/a"], false]);
    now += 60_000;
    expect(await listed()).toEqual([]);
  });

  test("hides no record from who reads the log", async () => {
    const { access } = await serveBucket({ listingLagMs: 3_600_000 });
    const objects = await openRunStore(access, { runUid });
    await restore(await temporaryStore(), 1, { objectStore: objects });
    expect((await readLog(objects)).state.opened?.attempt).toBe(1);
  });
});

describe("faults", () => {
  const cases: { what: string; fault: BucketFault; answer: unknown; left: boolean }[] = [
    {
      what: "a reply that is lost",
      fault: { requests: ["Put"], breaks: "after", times: 1 },
      answer: "exists",
      left: true,
    },
    {
      what: "a request that is lost",
      fault: { requests: ["Put"], breaks: "before", times: 1 },
      answer: "created",
      left: true,
    },
    {
      what: "a store that slows down",
      fault: { answers: { status: 503, code: "SlowDown" }, times: 2 },
      answer: "created",
      left: true,
    },
    {
      what: "a store that fails for long",
      fault: { answers: { status: 500, code: "InternalError" } },
      answer: "StoreFailing",
      left: false,
    },
    {
      what: "connections that break for long",
      fault: { breaks: "before" },
      answer: "EndpointUnreachable",
      left: false,
    },
    {
      what: "a refusal",
      fault: { answers: { status: 403, code: "AccessDenied" } },
      answer: "AccessDenied",
      left: false,
    },
    { what: "a fault of another key", fault: { key: "other", breaks: "before" }, answer: "created", left: true },
    {
      what: "a fault of another request",
      fault: { requests: ["Get"], breaks: "before" },
      answer: "created",
      left: true,
    },
    { what: "a fault that comes later", fault: { after: 1, breaks: "before" }, answer: "created", left: true },
  ];

  test.each(cases)("$what is told as $answer", async ({ fault, answer, left }) => {
    const { access, bucket } = await serveBucket();
    const client = await clientOf(access);
    const standing = bucket.faults.add(fault);
    expect(await problemOr(client.put("log/1", words, { ifAbsent: true }))).toBe(answer);
    expect(bucket.objects.has("log/1")).toBe(left);
    standing.lift();
    expect(await client.has("log/1")).toBe(left);
  });

  test("an answer that breaks off is asked for again", async () => {
    const { access, bucket } = await serveBucket();
    const client = await clientOf(access);
    await client.put("a", words, always);
    const standing = bucket.faults.add({ requests: ["Get"], cutsTo: 2, times: 2 });
    expect(await client.readWhole("a", 10)).toEqual(words);
    expect(standing.fired).toBe(2);
  });

  test("a completion whose reply is lost has made the object", async () => {
    const { access, bucket } = await serveBucket();
    const client = await clientOf(access);
    const upload = await client.uploads.begin("a");
    const part = await client.uploads.put(upload, 1, words);
    bucket.faults.add({ requests: ["CompleteUpload"], breaks: "after", times: 1 });
    await client.uploads.complete(upload, { parts: [part], bytes: words.byteLength });
    expect([await client.size("a"), bucket.openUploads]).toEqual([words.byteLength, []]);
  });

  test("bytes that change behind everybody's back are read as they are", async () => {
    const { access, bucket } = await serveBucket();
    const client = await clientOf(access);
    await client.put("a", words, always);
    bucket.damage("a", (bytes) => bytes.fill(0, 3));
    expect(await client.readWhole("a", 10)).toEqual(words.with(3, 0).with(4, 0));
  });
});

describe("who may not", () => {
  const rights = (...allowed: Right[]) => new Map([["model", new Set(allowed)]]);
  test.each<[string, Partial<BucketOptions>, string]>([
    ["keys that the store does not know", { rights: new Map() }, "CredentialsRefused"],
    ["keys that may not put", { rights: rights("Get", "List") }, "AccessDenied"],
    ["a quota that is spent", { quotaBytes: 3 }, "QuotaExceeded"],
    ["a clock that is an hour ahead", { clock: () => Date.now() - 3_600_000 }, "ClockSkewed"],
  ])("%s", async (_, options, problem) => {
    const { access, bucket } = await serveBucket(options);
    expect(await problemOr((await clientOf(access)).put("a", words, always))).toBe(problem);
    expect(bucket.objects.size).toBe(0);
  });

  test("another bucket, or one that is gone", async () => {
    const { access, bucket } = await serveBucket();
    const client = await clientOf({ ...access, bucket: "elsewhere" });
    expect(await problemOr(client.firstPage(""))).toBe("BucketMissing");
    bucket.exists = false;
    expect(await problemOr((await clientOf(access)).size("a"))).toBe("BucketMissing");
  });

  test("uploads may be left to the store", async () => {
    const { access, bucket } = await serveBucket({ rights: rights("Get", "Put", "List") });
    const client = await clientOf(access);
    await client.uploads.begin("data/a");
    expect(await problemOr(client.uploads.giveUp("data/"))).toBe(undefined);
    expect(bucket.openUploads).toContain("data/a");
  });

  test.each<[NonNullable<BucketOptions["uploadsBy"]>, readonly string[]]>([
    ["Prefix", []],
    ["WholeKey", ["data/a"]],
  ])("listed by %s, uploads that are given up below a prefix leave %j", async (uploadsBy, left) => {
    const { access, bucket } = await serveBucket({ uploadsBy });
    const client = await clientOf(access);
    await client.uploads.begin("data/a");
    await client.uploads.giveUp("data/");
    expect(bucket.openUploads).toEqual(left);
    await client.uploads.giveUp("data/a");
    expect(bucket.openUploads).toEqual([]);
  });
});

async function problemOr<T>(asked: Promise<T>): Promise<T | string> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof ObjectStoreError) return error.problem;
    throw error;
  }
}
