import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { resumedAt, runUid, save } from "../../checkpoint/test/fixture.ts";
import { type Authority, makeAuthority } from "../cluster/control-plane/certificates.ts";
import { freePorts } from "../cluster/host/ports.ts";
import { setMinioQuota } from "./minio.ts";
import { contentsOf, mirror, newVolume, restoreAttempt } from "./mirrored-run.ts";
import { startFaultProxy } from "./proxy/fault-proxy.ts";
import { failureOf, impatient, mountSecret, openRunStore, secretOf } from "./run-store.ts";
import { type ObjectStore, startStore, storeKinds } from "./store.ts";
import { storeClient } from "./store-access.ts";

const secret = "the Secret that checkpoint.objectStore.credentialsSecretName names";

let directory: string;
let authority: Authority;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "trainingrun-access-"));
  authority = await makeAuthority(join(directory, "authority"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

describe.each(storeKinds)("on %s", (kind) => {
  let server: ObjectStore;
  beforeAll(async () => {
    server = await startStore(kind, { directory: join(directory, kind) });
  });
  afterAll(() => server?.stop());

  const opening = async (options: Parameters<typeof openRunStore>[1]) =>
    failureOf(openRunStore(server.access, { patience: { ...impatient, tries: 2 }, ...options }), server.access);

  /** A volume with a checkpoint of step 10 and of step 20, and an object store that has the first. */
  async function halfMirrored(access = server.access, options: Parameters<typeof openRunStore>[1] = {}) {
    const volume = await newVolume();
    const objectStore = await openRunStore(access, { runUid, prefix: `run-${crypto.randomUUID()}`, ...options });
    await restoreAttempt(volume, { attempt: 1, objectStore });
    for (const step of [10, 20]) await save(volume, 1, step);
    await mirror({ from: volume, to: objectStore, attempt: 1 }, 10);
    return { volume, objectStore, mirrorNext: () => mirror({ from: volume, to: objectStore, attempt: 1 }, 20) };
  }

  test("keys that the store does not know, and a secret that is not theirs, are refused with one remedy", async () => {
    const problem = "CredentialsRefused";
    const nobody = await mountSecret({ ...secretOf(server.access), accessKeyId: "nobody" });
    expect(await opening({ secret: nobody })).toEqual({
      problem,
      sentence: `Cannot list KEY in STORE/checkpoints because it answered 403 InvalidAccessKeyId: correct the keys in ${secret}`,
    });
    const wrong = await mountSecret({ ...secretOf(server.access), secretAccessKey: "wrong" });
    expect(await opening({ secret: wrong })).toEqual({
      problem,
      sentence: `Cannot list KEY in STORE/checkpoints because it answered 403 SignatureDoesNotMatch: correct the keys in ${secret}`,
    });
    const garbled = await mountSecret({ ...secretOf(server.access), accessKeyId: "schlüssel…" });
    expect(await opening({ secret: garbled })).toMatchObject({ problem });
  });

  test("a key that is missing from the Secret is named", async () => {
    const { accessKeyId } = server.access;
    const half = await mountSecret({ accessKeyId, secretAccessKey: "\n" });
    expect(await opening({ secret: half })).toEqual({
      problem: "CredentialsMissing",
      sentence: `Cannot sign requests because ${half.directory}/secretAccessKey is not there or is empty: put secretAccessKey into ${secret}`,
    });
  });

  test("keys that may only read, or nothing, are told what they need", async () => {
    const remedy =
      "let these keys get, put, list and delete objects below the run's prefix, and list and abort uploads";
    const reader = await mountSecret(secretOf(await server.addUser("Read")));
    const failed = await opening({ secret: reader });
    // MinIO's rights to read do not include a listing.
    expect(failed).toEqual({
      problem: "AccessDenied",
      sentence: `Cannot ${kind === "minio" ? "list" : "put"} KEY in STORE/checkpoints because it answered 403 AccessDenied: ${remedy}`,
    });
    const nobody = await mountSecret(secretOf(await server.addUser("None")));
    expect(await opening({ secret: nobody })).toEqual({
      problem: "AccessDenied",
      sentence: `Cannot list KEY in STORE/checkpoints because it answered 403 AccessDenied: ${remedy}`,
    });
  });

  test("keys are rotated between two requests without anyone noticing, and what they mirrored is whole", async () => {
    const first = await server.addUser("ReadWrite");
    const mounted = await mountSecret(secretOf(first));
    const { objectStore, mirrorNext } = await halfMirrored(server.access, { secret: mounted });
    const second = await server.addUser("ReadWrite");
    await mounted.replace(secretOf(second));
    await server.removeUser(first.accessKeyId);
    await mirrorNext();
    expect(await contentsOf(objectStore)).toMatchObject({ whole: [10, 20], broken: [] });
  });

  test("keys that are refused while they are rotated are tried again with the new ones", async () => {
    await using proxy = await startFaultProxy({ target: server.access.endpoint });
    const first = await server.addUser("ReadWrite");
    const mounted = await mountSecret(secretOf(first));
    const { objectStore, mirrorNext } = await halfMirrored(server.access, {
      secret: mounted,
      endpoint: proxy.endpoint,
      patience: { ...impatient, requestMs: 60_000 },
    });
    const held = proxy.add({ fault: { kind: "Hold", what: "Request" }, operation: "PutObject", nth: 1 });
    const mirrored = mirrorNext();
    await expect.poll(() => held.hits, { timeout: 30_000 }).toBe(1);
    const second = await server.addUser("ReadWrite");
    await server.removeUser(first.accessKeyId);
    await mounted.replace(secretOf(second));
    held.remove();
    await mirrored;
    expect(proxy.log.filter(({ status }) => status === 403)).toHaveLength(1);
    expect(await contentsOf(objectStore)).toMatchObject({ whole: [10, 20] });
  });

  test("keys that were taken away end an upload; with new ones it goes on, and the checkpoint before stays whole", async () => {
    const first = await server.addUser("ReadWrite");
    const mounted = await mountSecret(secretOf(first));
    const { volume, objectStore, mirrorNext } = await halfMirrored(server.access, { secret: mounted });
    await server.removeUser(first.accessKeyId);
    expect(await failureOf(mirrorNext(), server.access)).toEqual({
      problem: "CredentialsRefused",
      sentence: `Cannot list KEY in STORE/checkpoints because it answered 403 InvalidAccessKeyId: correct the keys in ${secret}`,
    });
    // A restore concludes nothing from a store that it may not read.
    expect(await restoreAttempt(volume, { attempt: 2, objectStore })).toMatchObject({ failure: "StorageUnavailable" });
    await mounted.replace(secretOf(server.access));
    expect(await contentsOf(objectStore)).toMatchObject({ opened: { attempt: 1 }, whole: [10], broken: [] });
    await mirrorNext();
    expect(await contentsOf(objectStore)).toMatchObject({ whole: [10, 20] });
  });

  test("a bucket that is not there, or cannot be one, is named", async () => {
    expect(await opening({ bucket: "never-made" })).toEqual({
      problem: "BucketMissing",
      sentence:
        "Cannot list KEY in STORE/never-made because it answered 404 NoSuchBucket: create the bucket, or correct checkpoint.objectStore.bucket",
    });
    expect(await opening({ bucket: "Not_a_bucket" })).toEqual({
      problem: "BucketMissing",
      sentence:
        'Cannot use "Not_a_bucket" as a bucket because a bucket\'s name has 3 to 63 lower-case letters, digits, dots and dashes, and is no address: correct checkpoint.objectStore.bucket',
    });
  });

  test("a clock that is 20 minutes off is told from wrong keys, and sets nothing back", async () => {
    const { objectStore, mirrorNext } = await halfMirrored();
    for (const minutes of [-20, 20]) {
      vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + minutes * 60_000 });
      onTestFinished(() => void vi.useRealTimers());
      expect(await failureOf(mirrorNext(), server.access)).toEqual({
        problem: "ClockSkewed",
        sentence:
          "Cannot list KEY in STORE/checkpoints because it answered 403 RequestTimeTooSkewed: set the clock of this node, or of the store",
      });
      vi.useRealTimers();
    }
    expect(await contentsOf(objectStore)).toMatchObject({ whole: [10], broken: [] });
    await mirrorNext();
    expect(await contentsOf(objectStore)).toMatchObject({ whole: [10, 20] });
  });

  test.runIf(kind === "versitygw")("a region that is not the bucket's is told as such; MinIO takes any", async () => {
    expect(await opening({ region: "eu-nowhere-7" })).toEqual({
      problem: "EndpointUnreachable",
      sentence:
        "Cannot list KEY in STORE/checkpoints because it answered 400 AuthorizationHeaderMalformed: set checkpoint.objectStore.region to the bucket's region, and endpoint to that region's address",
    });
  });

  test("over TLS the Secret's authority is trusted, and without it, or with another, nothing is sent", async () => {
    const home = join(directory, `${kind}-tls`);
    await using secured = await startStore(kind, { directory: home, authority });
    const files = secretOf(secured.access);
    const ca = await readFile(authority.certificatePath, "utf8");
    const { objectStore, mirrorNext } = await halfMirrored(secured.access, {
      secret: await mountSecret({ ...files, "ca.crt": ca }),
    });
    await mirrorNext();
    expect(await contentsOf(objectStore)).toMatchObject({ whole: [10, 20], broken: [] });
    const problem = "CertificateRefused";
    const remedy = `put the authority that signed the store's certificate as ca.crt into ${secret}`;
    const refusedWith = async (certificate: Record<string, string>) =>
      failureOf(
        openRunStore(secured.access, { secret: await mountSecret({ ...files, ...certificate }) }),
        secured.access,
      );
    expect(await refusedWith({})).toEqual({
      problem,
      sentence: `Cannot list KEY in STORE/checkpoints because the connection failed with UNABLE_TO_VERIFY_LEAF_SIGNATURE: ${remedy}`,
    });
    const other = await makeAuthority(join(home, "other"));
    expect(await refusedWith({ "ca.crt": await readFile(other.certificatePath, "utf8") })).toMatchObject({ problem });
    expect(await refusedWith({ "ca.crt": "no certificate" })).toMatchObject({ problem });
  });

  test("an authority that is rotated is used from the next request on", async () => {
    await using secured = await startStore(kind, { directory: join(directory, `${kind}-rotated`), authority });
    const files = { ...secretOf(secured.access), "ca.crt": await readFile(authority.certificatePath, "utf8") };
    const mounted = await mountSecret(files);
    const store = await openRunStore(secured.access, { secret: mounted });
    const stranger = await makeAuthority(join(directory, `${kind}-stranger`));
    await mounted.replace({ ...files, "ca.crt": await readFile(stranger.certificatePath, "utf8") });
    expect(await failureOf(store.names(), secured.access)).toMatchObject({ problem: "CertificateRefused" });
    await mounted.replace(files);
    expect(await store.names()).toEqual([]);
  });

  test("https where there is no TLS, and http where there is, are told apart from a broken network", async () => {
    await using secured = await startStore(kind, { directory: join(directory, `${kind}-scheme`), authority });
    const problem = "EndpointUnreachable";
    expect(await opening({ endpoint: server.access.endpoint.replace("http:", "https:") })).toMatchObject({
      problem,
      sentence: expect.stringContaining("what answers there does not speak TLS"),
    });
    const plain = { ...secured.access, endpoint: secured.access.endpoint.replace("https:", "http:") };
    expect(await failureOf(openRunStore(plain), secured.access)).toMatchObject({ problem });
  });

  test.each(["Versioned", "Locked"] as const)("a bucket that is %s holds a run's whole life", async (history) => {
    const bucket = `${history.toLowerCase()}-bucket`;
    await server.makeBucket(bucket, history);
    const access = { ...server.access, bucket };
    if (history === "Locked") {
      await storeClient(access).setObjectLockConfig(bucket, { mode: "GOVERNANCE", unit: "Days", validity: 1 });
    }
    const { volume, objectStore, mirrorNext } = await halfMirrored(access);
    await mirrorNext();
    await mirrorNext();
    expect(resumedAt(await restoreAttempt(await newVolume(), { attempt: 2, objectStore }))).toBe(20);
    expect(await contentsOf(objectStore)).toMatchObject({ opened: { attempt: 2 }, whole: [10, 20], broken: [] });
    expect(resumedAt(await restoreAttempt(volume, { attempt: 3, objectStore }))).toBe(20);
    // What is removed is out of sight, and its versions are the bucket's own affair.
    await objectStore.removeRun();
    expect([await objectStore.names(), await objectStore.recordNumbers()]).toEqual([[], []]);
  });
});

test("a quota that is full ends an upload with its name, and what was mirrored stays whole", async () => {
  await using server = await startStore("minio", { directory: join(directory, "quota") });
  const volume = await newVolume();
  const objectStore = await openRunStore(server.access, { runUid, prefix: "run-q" });
  await restoreAttempt(volume, { attempt: 1, objectStore });
  for (const step of [10, 20]) await save(volume, 1, step);
  await mirror({ from: volume, to: objectStore, attempt: 1 }, 10);
  await setMinioQuota(server.access, 1);
  expect(await failureOf(mirror({ from: volume, to: objectStore, attempt: 1 }, 20), server.access)).toEqual({
    problem: "QuotaExceeded",
    sentence:
      "Cannot put KEY in STORE/checkpoints because it answered 400 XMinioAdminBucketQuotaExceeded: raise the bucket's quota, or lower the run's retention",
  });
  expect(await contentsOf(objectStore)).toMatchObject({ committed: [10], whole: [10], broken: [] });
  await setMinioQuota(server.access, 1_000_000_000);
  await mirror({ from: volume, to: objectStore, attempt: 1 }, 20);
  expect(await contentsOf(objectStore)).toMatchObject({ whole: [10, 20] });
});

describe("An endpoint", () => {
  const access = { endpoint: "", accessKeyId: "a", secretAccessKey: "b", region: "us-east-1", bucket: "checkpoints" };
  const opening = (endpoint: string) =>
    failureOf(openRunStore({ ...access, endpoint }, { patience: { ...impatient, tries: 2 } }), { ...access, endpoint });
  const problem = "EndpointUnreachable";

  test.each(["", "store", "ftp://store", "http://store/path", "http://user@store", "http://store?x=1"])(
    "%j is none",
    async (endpoint) => {
      expect(await opening(endpoint)).toMatchObject({
        problem,
        sentence: expect.stringContaining("correct checkpoint.objectStore.endpoint"),
      });
    },
  );

  test("where nobody listens is unreachable", async () => {
    const [port] = await freePorts(1, "127.0.0.1");
    expect(await opening(`http://127.0.0.1:${port}`)).toEqual({
      problem,
      sentence:
        "Cannot list KEY in STORE/checkpoints because the connection failed with ECONNREFUSED: correct checkpoint.objectStore.endpoint, or let pods reach it",
    });
  });

  test.each([
    [200, "<html>Welcome</html>", "it answered 200 and no error that S3 knows"],
    [404, "<html>Not here</html>", "it answered 404 and no error that S3 knows"],
    [302, "", "it answered 302 and no error that S3 knows"],
  ])("where a web server answers %i is told that it does not speak S3", async (status, body, because) => {
    const web = createServer((request, response) => {
      request.resume();
      response.writeHead(status, { location: "/login" }).end(body);
    });
    onTestFinished(() => void web.close());
    web.listen(0, "127.0.0.1");
    await once(web, "listening");
    const address = web.address();
    if (address === null || typeof address === "string") return expect.fail();
    expect(await opening(`http://127.0.0.1:${address.port}`)).toEqual({
      problem,
      sentence: `Cannot list KEY in STORE/checkpoints because ${because}: what answers there does not speak S3: correct checkpoint.objectStore.endpoint`,
    });
  });
});
