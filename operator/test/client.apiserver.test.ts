import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  ApiError,
  isAlreadyExists,
  isConflict,
  isNotFound,
  isRefusal,
  NoAnswerError,
} from "../src/kubernetes/api-error.ts";
import type { ApiClient } from "../src/kubernetes/client.ts";
import type { Credentials } from "../src/kubernetes/credentials.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import {
  createOrAdopt,
  ForeignObjectError,
  patchExact,
  removeExact,
  removeFinalizer,
} from "../src/kubernetes/writes.ts";
import { credentialsOf, testClient, useApiServer } from "./api-server.ts";
import { FaultProxy, type Seen } from "./fault-proxy.ts";

const configMaps = { group: "", version: "v1", plural: "configmaps", kind: "ConfigMap", scope: "Namespaced" } as const;
const namespace = "default";
const forever = { signal: new AbortController().signal };
const to = (method: string) => (seen: Seen) => seen.method === method && seen.path.includes("/configmaps");

const api = useApiServer();
let drawn = 0;

describe("the client, through a proxy that breaks things, to a real API server", () => {
  let proxy: FaultProxy;
  let proxied: Credentials;
  let client: ApiClient;
  let codes: string[];
  let name: string;
  const target = () => ({ resource: configMaps, namespace, name });
  const count = (method: string) => proxy.seen.filter(to(method)).length;

  beforeEach(async () => {
    drawn += 1;
    name = `client-${process.pid}-${drawn}`;
    proxy = new FaultProxy(api.credentials);
    proxied = credentialsOf(await proxy.start());
    codes = [];
    client = testClient(proxied, { observe: ({ method, code }) => codes.push(`${method} ${code}`) });
  });

  afterEach(async () => {
    await proxied.close();
    await proxy.stop();
    const { items } = await api.direct.list<KubeObject>({ resource: configMaps, namespace }, {}, forever);
    for (const { metadata } of items.filter((item) => item.metadata.name === name)) {
      const { uid } = metadata;
      if (metadata.finalizers !== undefined) {
        await api.direct.mergePatch(
          { resource: configMaps, namespace, name },
          { metadata: { finalizers: null } },
          forever,
        );
      }
      await api.direct
        .remove({ resource: configMaps, namespace, name }, { preconditions: { uid } }, forever)
        .catch(() => undefined);
    }
  });

  function make(fields: Record<string, unknown> = {}): Promise<KubeObject> {
    return client.create<KubeObject>({ resource: configMaps, namespace }, { metadata: { name, ...fields } }, forever);
  }

  const readFaults: readonly [name: string, fault: Parameters<FaultProxy["fail"]>[1]][] = [
    ["500", { kind: "Answer", status: 500 }],
    ["503", { kind: "Answer", status: 503 }],
    ["429", { kind: "Answer", status: 429 }],
    ["401", { kind: "Answer", status: 401 }],
    ["a reset connection", { kind: "Reset" }],
    ["a lost answer", { kind: "LoseAnswer" }],
  ];
  it.each(readFaults)("repeats a read after %s", async (_, fault) => {
    await make();
    proxy.fail(to("GET"), fault, 2);
    expect((await client.get<KubeObject>(target(), forever)).metadata.name).toBe(name);
    expect(count("GET")).toBe(3);
  });

  it("gives up on a read after its tries, with the server's last words", async () => {
    const body = { kind: "Status", code: 500, reason: "InternalError", message: "etcd is away" };
    proxy.fail(to("GET"), { kind: "Answer", status: 500, body }, 100);
    const error = await client.get(target(), forever).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({
      status: 500,
      reason: "InternalError",
      message: `Cannot GET configmaps default/${name} because the API server answered 500 InternalError: etcd is away`,
    });
    expect(count("GET")).toBe(4);
  });

  it("waits as long as the server asks", async () => {
    await make();
    proxy.fail(to("GET"), { kind: "Answer", status: 429, headers: { "retry-after": "1" } });
    const startedAt = performance.now();
    await client.get(target(), forever);
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(1_000);
  });

  const unsafe: readonly [name: string, fault: Parameters<FaultProxy["fail"]>[1], stands: boolean][] = [
    ["500", { kind: "Answer", status: 500 }, false],
    ["a reset connection", { kind: "Reset" }, false],
    ["a lost answer", { kind: "LoseAnswer" }, true],
  ];
  it.each(unsafe)("never repeats a creation after %s", async (_, fault, stands) => {
    proxy.fail(to("POST"), fault);
    await expect(make()).rejects.toThrow(`Cannot POST configmaps ${namespace} because`);
    expect(count("POST")).toBe(1);
    const found = await api.direct.get(target(), forever).catch((error: unknown) => error);
    expect(isNotFound(found)).toBe(!stands);
  });

  it("repeats a creation that the server turned away unseen", async () => {
    proxy.fail(to("POST"), { kind: "Answer", status: 429 }, 2);
    await make();
    expect(count("POST")).toBe(3);
  });

  it("repeats a creation for which there was no connection", async () => {
    await make();
    await proxy.stop();
    codes.length = 0;
    await expect(make()).rejects.toBeInstanceOf(NoAnswerError);
    expect(codes).toEqual(["POST 0", "POST 0", "POST 0", "POST 0"]);
  });

  it("ends with the caller's signal, whatever the server does", async () => {
    proxy.fail(to("GET"), { kind: "Stall" }, 100);
    const leaving = new AbortController();
    const asked = client.get(target(), { signal: leaving.signal }).catch((error: unknown) => error);
    leaving.abort(new Error("enough"));
    expect(String(await asked)).toContain("enough");
  });

  it("tells its observer of every try", async () => {
    proxy.fail(to("GET"), { kind: "Reset" });
    await client.get(target(), forever).catch(() => undefined);
    expect(codes).toEqual(["GET 0", "GET 404"]);
  });

  it("keeps fields that it does not know", async () => {
    const pod = {
      metadata: { name, labels: { purpose: "client-test" } },
      data: { "a.newer.field": "kept" },
    };
    const created = await client.create<KubeObject & { data: unknown }>(
      { resource: configMaps, namespace },
      pod,
      forever,
    );
    expect(created.data).toEqual({ "a.newer.field": "kept" });
  });

  it("tells refusals, conflicts and missing objects apart", async () => {
    await make();
    const refused = await client
      .create({ resource: configMaps, namespace }, { metadata: { name: "Not A Name" } }, forever)
      .catch((error: unknown) => error);
    const again = await make().catch((error: unknown) => error);
    expect([isRefusal(refused), isConflict(refused), isAlreadyExists(refused)]).toEqual([true, false, false]);
    expect([isRefusal(again), isConflict(again), isAlreadyExists(again)]).toEqual([false, false, true]);
  });

  it("counts a creation as done whose answer was lost, if the object is ours", async () => {
    proxy.fail(to("POST"), { kind: "LoseAnswer" });
    await expect(make({ labels: { owner: "us" } })).rejects.toBeInstanceOf(NoAnswerError);
    const creation = { resource: configMaps, namespace, name, object: { metadata: { name, labels: { owner: "us" } } } };
    const isOurs = (found: KubeObject) => found.metadata.labels?.owner === "us";
    const adopted = await createOrAdopt<KubeObject>(client, { ...creation, isOurs }, forever);
    expect(adopted.metadata.name).toBe(name);
    const foreign = createOrAdopt(client, { ...creation, isOurs: () => false }, forever);
    await expect(foreign).rejects.toThrow(
      `Cannot create ConfigMap default/${name} because another object has that name: uid ${adopted.metadata.uid}`,
    );
    await expect(foreign).rejects.toBeInstanceOf(ForeignObjectError);
  });

  it("deletes exactly the object decided on, also when the answer is lost", async () => {
    const { metadata } = await make();
    proxy.fail(to("DELETE"), { kind: "LoseAnswer" });
    const exact = { namespace, name, uid: metadata.uid };
    expect(await removeExact(client, { resource: configMaps, exact }, forever)).toBe("Absent");
    expect(count("DELETE")).toBe(2);
    expect(isNotFound(await api.direct.get(target(), forever).catch((error: unknown) => error))).toBe(true);
  });

  it("leaves an object of another uid alone, and one of another version", async () => {
    const { metadata } = await make();
    const other = { namespace, name, uid: "00000000-0000-0000-0000-000000000000" };
    expect(await removeExact(client, { resource: configMaps, exact: other }, forever)).toBe("Absent");
    const exact = { namespace, name, uid: metadata.uid };
    const old = await removeExact(client, { resource: configMaps, exact, resourceVersion: "1" }, forever).catch(
      (error: unknown) => error,
    );
    expect(isConflict(old)).toBe(true);
    expect((await api.direct.get<KubeObject>(target(), forever)).metadata.uid).toBe(metadata.uid);
  });

  it("takes off one finalizer of exactly the object decided on", async () => {
    const finalizers = ["example.com/a", "example.com/b", "example.com/c"];
    const { metadata } = await make({ finalizers });
    const removal = { resource: configMaps, finalizers, finalizer: "example.com/b" };
    const exact = { namespace, name, uid: metadata.uid };
    const other = { ...exact, uid: "00000000-0000-0000-0000-000000000000" };
    const refused = await removeFinalizer(client, { ...removal, exact: other }, forever).catch(
      (error: unknown) => error,
    );
    expect(isConflict(refused)).toBe(true);
    await api.direct.mergePatch(target(), { metadata: { labels: { changed: "meanwhile" } } }, forever);
    const left = (await removeFinalizer(client, { ...removal, exact }, forever)) as KubeObject;
    expect(left.metadata.finalizers).toEqual(["example.com/a", "example.com/c"]);
    const late = await removeFinalizer(client, { ...removal, exact }, forever).catch((error: unknown) => error);
    expect(isConflict(late)).toBe(true);
  });

  it("swaps only the version that was compared", async () => {
    const { metadata } = await make();
    const exact = { namespace, name, uid: metadata.uid };
    const patch = {
      resource: configMaps,
      exact,
      resourceVersion: metadata.resourceVersion,
      metadata: { labels: { a: "1" } },
    };
    await patchExact(client, patch, forever);
    const late = await patchExact(client, patch, forever).catch((error: unknown) => error);
    expect(isConflict(late)).toBe(true);
  });
});
