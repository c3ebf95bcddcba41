import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { NoAnswerError } from "../src/kubernetes/api-error.ts";
import type { ApiClient } from "../src/kubernetes/client.ts";
import type { Credentials } from "../src/kubernetes/credentials.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { AccessFiles, TestAccount } from "./api-access.ts";
import { credentialsOf, testClient, until, useApiServer } from "./api-server.ts";
import { type Fault, FaultProxy, type Seen } from "./fault-proxy.ts";
import { mostAtOnce } from "./request-log.ts";

const configMaps = { group: "", version: "v1", plural: "configmaps", kind: "ConfigMap", scope: "Namespaced" } as const;
const namespace = "default";
const forever = { signal: new AbortController().signal };
const once = { ...forever, tries: 1, timeoutMs: 1_500 };

const api = useApiServer(undefined, "Own");
let drawn = 0;

describe("a proxy that breaks what passes, each fault of it, before a real API server", () => {
  let proxy: FaultProxy;
  let proxied: Credentials;
  let client: ApiClient;
  let name: string;
  const target = () => ({ resource: configMaps, namespace, name });
  const is = (method: string) => (seen: Seen) => seen.method === method && seen.path.includes("/configmaps");

  beforeEach(async () => {
    drawn += 1;
    name = `fault-${process.pid}-${drawn}`;
    proxy = new FaultProxy(api.credentials);
    proxied = credentialsOf(await proxy.start());
    client = testClient(proxied);
  });
  afterEach(async () => {
    await proxied.close();
    await proxy.stop();
  });

  const make = (by: ApiClient, bound = once) =>
    by.create<KubeObject>({ resource: configMaps, namespace }, { metadata: { name }, data: { a: "b" } }, bound);
  const stands = async () => (await api.direct.get(target(), forever).catch(() => undefined)) !== undefined;
  /** How a request went: `done`, the server's status, or what the network showed. */
  const outcomeOf = (asked: Promise<unknown>) =>
    asked.then(
      () => "done",
      (error: unknown) =>
        error instanceof NoAnswerError ? "no answer" : String((error as { status?: number }).status),
    );

  type Row = readonly [title: string, fault: Fault, outcome: string, reached: boolean];
  const writes: readonly Row[] = [
    ["answers in the server's place", { kind: "Answer", status: 503 }, "503", false],
    ["resets the connection before the server sees the request", { kind: "Reset" }, "no answer", false],
    ["takes the connection and says nothing", { kind: "Stall" }, "no answer", false],
    ["loses the answer to what the server did", { kind: "LoseAnswer" }, "no answer", true],
    ["loses it for good", { kind: "LoseAnswerForGood" }, "no answer", true],
    ["cuts the answer within its body", { kind: "CutBody", afterBytes: 10 }, "no answer", true],
    ["falls silent within the answer's body", { kind: "StallBody", afterBytes: 10 }, "no answer", true],
    ["garbles the answer", { kind: "GarbleBody", change: (text) => text.slice(0, 20) }, "no answer", true],
    ["holds the request", { kind: "Hold", what: "Request" }, "no answer", false],
    ["holds the answer", { kind: "Hold", what: "Answer" }, "no answer", true],
    ["lets the request arrive late", { kind: "ArriveLate" }, "no answer", false],
  ];
  it.each(writes)("%s", async (_, fault, outcome, reached) => {
    const rule = proxy.fail(is("POST"), fault);
    expect([await outcomeOf(make(client)), rule.hits(), await stands()]).toEqual([outcome, 1, reached]);
  });

  it("lets what is held go on when the rule is removed", async () => {
    for (const what of ["Request", "Answer"] as const) {
      name = `${name}-${what.toLowerCase()}`;
      const rule = proxy.add({ matches: is("POST"), fault: { kind: "Hold", what } });
      const asked = outcomeOf(make(client, { ...once, timeoutMs: 10_000 }));
      await until("it is held", async () => (what === "Request" ? rule.hits() === 1 : await stands()));
      rule.remove();
      expect([await asked, await stands()]).toEqual(["done", true]);
    }
  });

  it("lets a late request arrive when the rule is removed, although its client is long cut off", async () => {
    const rule = proxy.fail(is("POST"), { kind: "ArriveLate" });
    expect(await outcomeOf(make(client))).toBe("no answer");
    proxy.cut();
    expect(await stands()).toBe(false);
    rule.remove();
    await until("it has arrived", stands);
  });

  const reads: readonly [title: string, fault: Fault, outcome: string, isWhole: boolean][] = [
    ["is cut in the middle", { kind: "CutBody", afterBytes: 100 }, "no answer", false],
    ["stalls in the middle", { kind: "StallBody", afterBytes: 100 }, "no answer", false],
    ["is cut short but well-framed", { kind: "GarbleBody", change: (text) => text.slice(0, -10) }, "no answer", true],
    ["is another document, and well-formed", { kind: "GarbleBody", change: (text) => `[${text}]` }, "done", true],
    ["is cut after all of it", { kind: "CutBody", afterBytes: 1e9 }, "done", true],
  ];
  it.each(reads)("breaks a list that %s", async (_, fault, outcome, isWhole) => {
    await make(api.direct);
    const rule = proxy.fail(is("GET"), fault);
    const asked = client.list({ resource: configMaps, namespace }, {}, once);
    expect([await outcomeOf(asked), rule.hits(), proxy.log[0]?.status]).toEqual([outcome, 1, 200]);
    if (isWhole) expect(proxy.log[0]?.bytes).toBeGreaterThan(100);
    else expect(proxy.log[0]?.bytes).toBe(100);
  });

  it("passes on every header of the server's answer but those of the connection", async () => {
    const { server } = await proxied.current();
    const answer = await fetch(`${server}/api/v1/namespaces/default/configmaps/none-such`);
    expect(answer.status).toBe(404);
    const own = [...answer.headers.keys()].filter((header) => !["connection", "keep-alive", "date"].includes(header));
    expect(own).toEqual(expect.arrayContaining(["audit-id", "x-kubernetes-pf-flowschema-uid", "content-type"]));
    await answer.arrayBuffer();
  });

  it("passes on the client's own headers, so that the server knows it by its name", async () => {
    await make(client);
    const made = await api.direct.get<KubeObject>(target(), forever);
    const { managedFields } = made.metadata as { managedFields?: readonly { manager: string }[] };
    expect(managedFields?.[0]?.manager).toBe("trainingrun-test");
  });

  it("passes on the client's own token where it is asked to, so that a 401 is the server's", async () => {
    const account = await TestAccount.make(api.direct, name);
    const { token } = await account.token();
    const server = api.control.address.origin;
    const anonymous = await AccessFiles.make({ server, authorities: await api.control.authorities() });
    const upstream = credentialsOf(anonymous.kubeconfigPath);
    const theirs = new FaultProxy(upstream, { authorization: "Client" });
    const known = credentialsOf(await theirs.start({ token }));
    try {
      // A role that was bound just now may take the server a moment to see.
      await until("the account is let in", async () => (await outcomeOf(make(testClient(known)))) === "done");
      const { server: at } = await known.current();
      const ask = async (authorization: string) =>
        (await fetch(`${at}/api/v1/namespaces/default/configmaps/${name}`, { headers: { authorization } })).status;
      expect([await ask(`Bearer ${token}`), await ask(`Bearer ${token.slice(0, -4)}AAAA`)]).toEqual([200, 401]);
    } finally {
      await known.close();
      await theirs.stop();
      await upstream.close();
      await anonymous.remove();
    }
  });

  it("logs what became of each request, so that what was under way at once can be told", async () => {
    const held = proxy.add({ matches: is("GET"), fault: { kind: "Hold", what: "Request" } });
    const asked = [1, 2, 3].map(() => outcomeOf(client.list({ resource: configMaps, namespace }, {}, once)));
    await until("all are held", () => held.hits() === 3);
    held.remove();
    await Promise.all(asked);
    expect(await outcomeOf(client.get(target(), once))).toBe("404");
    await until("all have ended", () => proxy.log.every(({ endedAtMs }) => endedAtMs !== undefined));
    expect(proxy.log.map(({ method, status, isWatch }) => [method, status, isWatch])).toEqual([
      ["GET", 200, false],
      ["GET", 200, false],
      ["GET", 200, false],
      ["GET", 404, false],
    ]);
    expect(mostAtOnce(proxy.log)).toBe(3);
  });
});

describe("an API server of the tests' own", () => {
  const version = async (bound = forever) =>
    (await api.direct.list<KubeObject>({ resource: configMaps, namespace }, {}, bound)).metadata.resourceVersion;
  const listAt = (resourceVersion: string) =>
    api.direct.list({ resource: configMaps, namespace }, { resourceVersion, resourceVersionMatch: "Exact" }, once).then(
      () => 200,
      ({ status }: { status?: number }) => status,
    );

  it("says nothing while it is frozen, and goes on after", async () => {
    api.control.freeze();
    try {
      await expect(version(once)).rejects.toBeInstanceOf(NoAnswerError);
    } finally {
      api.control.thaw();
    }
    expect(Number(await version())).toBeGreaterThan(0);
  });

  it("forgets its history when it is compacted, so that an old version is gone for good", async () => {
    const old = await version();
    await api.direct.create({ resource: configMaps, namespace }, { metadata: { name: `new-${process.pid}` } }, forever);
    await api.control.compact();
    await api.control.restart();
    await until("it has forgotten", async () => (await listAt(old)) === 410);
    expect(await listAt(await version())).toBe(200);
  });

  it("takes no token any more that is revoked", async () => {
    const account = await TestAccount.make(api.direct, `revoked-${process.pid}`);
    const { token, revoke } = await account.token();
    const [server, authorities] = [api.control.address.origin, await api.control.authorities()];
    const files = await AccessFiles.make({ server, authorities, token });
    const credentials = credentialsOf(files.kubeconfigPath);
    const ask = () =>
      testClient(credentials)
        .list({ resource: configMaps, namespace }, {}, once)
        .then(
          () => 200,
          ({ status }: { status?: number }) => status,
        );
    await until("the account is let in", async () => (await ask()) === 200);
    await revoke();
    await until("the token is refused", async () => (await ask()) === 401, 30_000);
    await files.replace({ token: (await account.token()).token });
    credentials.expire();
    expect(await ask()).toBe(200);
    await credentials.close();
    await files.remove();
  });

  it("presents another certificate, which those who know its authority go on trusting", async () => {
    const [server, authorities] = [api.control.address.origin, await api.control.authorities()];
    const files = await AccessFiles.make({ server, authorities });
    const outcome = async () => {
      const credentials = credentialsOf(files.kubeconfigPath);
      const asked = testClient(credentials).list({ resource: configMaps, namespace }, {}, once);
      const status = await asked.then(
        () => 200,
        (error: { status?: number }) => error.status ?? "untrusted",
      );
      await credentials.close();
      return status;
    };
    await api.control.renewCertificate();
    expect(await outcome()).toBe(403);
    await api.control.changeAuthority();
    expect(await outcome()).toBe("untrusted");
    await files.replace({ authorities: await api.control.authorities() });
    expect(await outcome()).toBe(403);
    await files.remove();
  });
});
