import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Client } from "minio";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeAuthority } from "../cluster/control-plane/certificates.ts";
import { isAlive } from "../cluster/processes/process-identity.ts";
import { setMinioQuota } from "./minio.ts";
import { type ObjectStore, startStore, storeKinds } from "./store.ts";
import { storeClient } from "./store-access.ts";
import { created, outcomeOf, put, read } from "./test-requests.ts";

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "trainingrun-store-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

describe.each(storeKinds)("%s", (kind) => {
  let store: ObjectStore;
  let client: Client;
  beforeAll(async () => {
    store = await startStore(kind, { directory: join(directory, kind) });
    client = storeClient(store.access);
  });
  afterAll(() => store?.stop());

  test("gives back what was put", async () => {
    await put(client, "data/a", "some bytes");
    expect(await read(client, "data/a")).toBe("some bytes");
  });

  test("refuses the second of two writes that ask for a new key", async () => {
    await put(client, "log/000000000001.json", "first", created);
    expect(await outcomeOf(put(client, "log/000000000001.json", "second", created))).toBe("PreconditionFailed");
    expect(await read(client, "log/000000000001.json")).toBe("first");
  });

  test("lets one of twenty racing writers win, and keeps what that one wrote", async () => {
    const writers = Array.from({ length: 20 }, (_, number) => `writer ${number}`);
    for (const key of ["log/000000000002.json", "log/000000000003.json", "log/000000000004.json"]) {
      const outcomes = await Promise.all(
        writers.map((name) => outcomeOf(put(storeClient(store.access), key, name, created))),
      );
      const winners = writers.filter((_, index) => outcomes[index] === "Done");
      expect(winners).toHaveLength(1);
      expect(await read(client, key)).toBe(winners[0]);
    }
  });

  test("gives a user the rights it was made with, until it is removed", async () => {
    await put(client, "data/shared", "of the root");
    const seen = async (rights: "None" | "Read" | "ReadWrite") => {
      const access = await store.addUser(rights);
      const user = storeClient(access);
      const could = {
        read: await outcomeOf(read(user, "data/shared")),
        write: await outcomeOf(put(user, `data/by-${rights}`, "x")),
      };
      await store.removeUser(access.accessKeyId);
      return { ...could, afterwards: await outcomeOf(read(user, "data/shared")) };
    };
    const [denied, gone] = ["AccessDenied", "InvalidAccessKeyId"];
    expect(await seen("None")).toEqual({ read: denied, write: denied, afterwards: gone });
    expect(await seen("Read")).toEqual({ read: "Done", write: denied, afterwards: gone });
    expect(await seen("ReadWrite")).toEqual({ read: "Done", write: "Done", afterwards: gone });
  });

  test("refuses keys that it does not know and buckets that it does not have", async () => {
    const { secretAccessKey } = store.access;
    expect(await outcomeOf(put(storeClient({ ...store.access, accessKeyId: "nobody" }), "a", "x"))).toBe(
      "InvalidAccessKeyId",
    );
    expect(
      await outcomeOf(put(storeClient({ ...store.access, secretAccessKey: `${secretAccessKey}0` }), "a", "x")),
    ).toBe("SignatureDoesNotMatch");
    expect(await outcomeOf(client.putObject("never-made", "a", "x"))).toBe("NoSuchBucket");
  });

  test("keeps what was overwritten in a bucket with versions, and what is locked in one with locks", async () => {
    await store.makeBucket("versioned", "Versioned");
    const first = await client.putObject("versioned", "a", "first");
    await client.putObject("versioned", "a", "second");
    expect(await read(client, "a", { bucket: "versioned", versionId: first.versionId ?? "" })).toBe("first");

    await store.makeBucket("locked", "Locked");
    const locked = await client.putObject("locked", "a", "kept");
    const retainUntilDate = new Date(Date.now() + 3_600_000).toISOString();
    const versionId = locked.versionId ?? "";
    await client.putObjectRetention("locked", "a", { mode: "COMPLIANCE", retainUntilDate, versionId });
    expect(await outcomeOf(client.removeObject("locked", "a", { versionId }))).not.toBe("Done");
    expect(await read(client, "a", { bucket: "locked", versionId })).toBe("kept");
  });

  test("has the same objects at the same address after it was stopped and started", async () => {
    const life = store.process;
    await put(client, "data/kept", "before");
    await store.stop();
    expect(life && isAlive(life)).toBe(false);
    expect(await outcomeOf(read(client, "data/kept"))).toBe("ECONNREFUSED");
    await store.start();
    expect(await read(client, "data/kept")).toBe("before");
  });

  test("serves https to those who trust its authority, and to no others", async () => {
    const home = join(directory, `${kind}-tls`);
    const authority = await makeAuthority(join(home, "authority"));
    await using secured = await startStore(kind, { directory: join(home, "store"), authority });
    expect(secured.access).toMatchObject({
      endpoint: expect.stringMatching(/^https:/),
      caPath: authority.certificatePath,
    });
    const trusting = storeClient(secured.access);
    await put(trusting, "a", "over TLS");
    expect(await read(trusting, "a")).toBe("over TLS");
    const stranger = storeClient({ ...secured.access, caPath: undefined });
    expect(await outcomeOf(read(stranger, "a"))).toBe("UNABLE_TO_VERIFY_LEAF_SIGNATURE");
  });

  test("leaves no process when it goes out of scope", async () => {
    const life = await (async () => {
      await using short = await startStore(kind, { directory: join(directory, `${kind}-short`) });
      return short.process;
    })();
    expect(life).toBeDefined();
    expect(life && isAlive(life)).toBe(false);
  });
});

test("minio takes no object that is larger than the bucket's quota", async () => {
  await using store = await startStore("minio", { directory: join(directory, "quota") });
  const client = storeClient(store.access);
  await setMinioQuota(store.access, 1_000);
  await put(client, "fits", "x".repeat(500));
  expect(await outcomeOf(put(client, "too-large", "x".repeat(1_500)))).toBe("XMinioAdminBucketQuotaExceeded");
});
