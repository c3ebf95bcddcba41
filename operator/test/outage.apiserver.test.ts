import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { trainingRuns } from "../src/control/caches.ts";
import { ObjectCache } from "../src/kubernetes/cache.ts";
import type { Credentials } from "../src/kubernetes/credentials.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { Reflector } from "../src/kubernetes/reflector.ts";
import { pods } from "../src/kubernetes/resource.ts";
import { AccessFiles, TestAccount } from "./api-access.ts";
import { credentialsOf, testClient, until, useApiServer } from "./api-server.ts";
import { installTrainingRuns } from "./custom-resource.ts";
import { OperatorProcess } from "./operator-process.ts";
import { specWith } from "./run-builder.ts";
import { WireProxy } from "./wire-proxy.ts";

const namespaces = { group: "", version: "v1", plural: "namespaces", kind: "Namespace", scope: "Cluster" } as const;
const forever = { signal: new AbortController().signal };
/** What the process may ask of the API server, narrow enough to be felt. */
const requestLimits = { burst: 40, perSecond: 5, inFlight: 8 } as const;
const environment = {
  API_REQUESTS_PER_SECOND: String(requestLimits.perSecond),
  API_BURST: String(requestLimits.burst),
  API_IN_FLIGHT: String(requestLimits.inFlight),
};
/** The longest that the operator may be blind and not know it, and a little. */
const blindLimitMs = 65_000;
const recoveryMs = 45_000;
const isTold410 = /answered 410 Expired: too old resource version/;

const api = useApiServer(installTrainingRuns, "Own");
let drawn = 0;

describe("the operator's process, whose API server goes away and comes back", () => {
  let namespace: string;
  let account: TestAccount;
  let token: Awaited<ReturnType<TestAccount["token"]>>;
  let access: AccessFiles;
  let wire: WireProxy;
  let operator: OperatorProcess;

  beforeEach(async () => {
    drawn += 1;
    namespace = `outage-${process.pid}-${drawn}`;
    await api.direct.create({ resource: namespaces }, { metadata: { name: namespace } }, forever);
    account = await TestAccount.make(api.direct, namespace);
    token = await account.token();
    const { hostname, port } = api.control.address;
    wire = await WireProxy.start({ host: hostname, port: Number(port) });
    const authorities = await api.control.authorities();
    access = await AccessFiles.make({ server: `https://127.0.0.1:${wire.port}`, authorities, token: token.token });
    operator = await OperatorProcess.start({ kubeconfigPath: access.kubeconfigPath, namespace, environment });
    await isReady();
    await apply("before");
    await isServed("before");
  });
  afterEach(async () => {
    await operator.stop();
    await wire.stop();
    await access.remove();
  });

  async function apply(name: string): Promise<void> {
    const spec = specWith({ checkpoint: { ...(specWith().checkpoint as object), interval: { steps: 100 } } });
    const run = { apiVersion: "trainingrun.dev/v1alpha1", kind: "TrainingRun", metadata: { name }, spec };
    await api.direct.create({ resource: trainingRuns, namespace }, run, forever);
  }

  const hasPod = async (name: string) => {
    const { items } = await api.direct.list<KubeObject>({ resource: pods, namespace }, {}, forever);
    return items.some(({ metadata }) => metadata.name.startsWith(`${name}-`));
  };
  const isServed = (name: string) => until(`run ${name} has a pod`, () => hasPod(name), recoveryMs);
  const isReady = () => until("the operator is ready", () => operator.isReady(), recoveryMs);
  const isBlind = () =>
    until("the operator says that it is blind", async () => !(await operator.isReady()), blindLimitMs);

  /** What holds whatever happens to the server: the process goes on, says that it works, and does not press. */
  async function holds(
    broken: Readonly<{
      begin: () => Promise<void>;
      /** What can be seen only while it is broken. */
      meanwhile?: () => Promise<void>;
      mend: () => Promise<void>;
    }>,
  ): Promise<void> {
    const [before, beganAt] = [await operator.requests(), performance.now()];
    await broken.begin();
    await isBlind();
    expect(await operator.isHealthy()).toBe(true);
    await broken.meanwhile?.();
    await broken.mend();
    await isReady();
    await apply("after");
    await isServed("after");
    expect([operator.ending, await operator.isHealthy()]).toEqual([undefined, true]);
    // Those under way at the beginning are counted when they end.
    const { burst, perSecond, inFlight } = requestLimits;
    const allowed = inFlight + burst + (perSecond * (performance.now() - beganAt)) / 1000;
    expect((await operator.requests()) - before).toBeLessThanOrEqual(allowed);
  }

  it("waits for a server that is restarted", async () => {
    await holds({ begin: () => api.control.halt(), mend: () => api.control.restart() });
  });

  it("notices within a minute that a server is frozen, and goes on when it thaws", async () => {
    try {
      await holds({
        begin: async () => api.control.freeze(),
        mend: async () => api.control.thaw(),
      });
    } finally {
      api.control.thaw();
    }
  });

  it("lists anew where the server has come back without the history that it watched", async () => {
    wire.freeze();
    await apply("meanwhile");
    await api.control.compact();
    await api.control.restart();
    wire.thaw();
    // What makes this test worth its name: the server itself says so.
    await until("a watch is told 410", async () => isTold410.test(await operator.log()));
    await apply("after");
    await isServed("after");
    await isServed("meanwhile");
    await isReady();
    expect([operator.ending, await operator.isHealthy()]).toEqual([undefined, true]);
  });

  it("waits for a token that the server takes, and picks it up", async () => {
    await holds({
      begin: async () => {
        const credentials = credentialsOf(access.kubeconfigPath);
        const refused = async () => {
          const asked = testClient(credentials).list({ resource: pods, namespace }, {}, { ...forever, tries: 1 });
          return await asked.then(
            () => false,
            ({ status }: { status?: number }) => status === 401,
          );
        };
        await token.revoke();
        await until("the token is refused", refused, 30_000);
        await credentials.close();
        // A watch is let in once and lasts; the next one is not.
        wire.resetAll();
      },
      meanwhile: async () => expect(await operator.requests(401)).toBeGreaterThan(0),
      mend: async () => access.replace({ token: (await account.token()).token }),
    });
  });

  it("trusts no server whose authority it does not know, and the new one as soon as it is there", async () => {
    await holds({
      begin: async () => {
        await api.control.changeAuthority();
        api.credentials.expire();
        wire.resetAll();
      },
      mend: async () => access.replace({ authorities: await api.control.authorities() }),
    });
  });
});

describe("a client that comes with a certificate", () => {
  const reviews = {
    group: "authentication.k8s.io",
    version: "v1",
    plural: "selfsubjectreviews",
    kind: "SelfSubjectReview",
    scope: "Cluster",
  } as const;
  type Review = KubeObject & Readonly<{ status: { userInfo: { username: string } } }>;
  let access: AccessFiles;
  let credentials: Credentials;

  beforeEach(async () => {
    const [server, authorities] = [api.control.address.origin, await api.control.authorities()];
    access = await AccessFiles.make({ server, authorities, client: await certificate("first") });
    credentials = credentialsOf(access.kubeconfigPath);
  });
  afterEach(async () => {
    await credentials.close();
    await access.remove();
  });

  const certificate = (user: string, by: "Known" | "Unknown" = "Known") => api.control.clientCertificate(user, by);

  /** As whom the server takes it, or with what it turns it away; asked once. */
  async function isTakenFor(): Promise<string | number | undefined> {
    const asked = testClient(credentials).create<Review>({ resource: reviews }, {}, { ...forever, tries: 1 });
    return await asked.then(
      ({ status }) => status.userInfo.username,
      ({ status }: { status?: number }) => status,
    );
  }

  it("comes with the new one, over new connections, once it has read that", async () => {
    expect(await isTakenFor()).toBe("first");
    await access.replace({ client: await certificate("second") });
    credentials.expire();
    expect(await isTakenFor()).toBe("second");
  });

  it("looks for a new one as soon as the server does not take the one that it has", async () => {
    await access.replace({ client: await certificate("stranger", "Unknown") });
    expect([await isTakenFor(), await isTakenFor()]).toEqual([401, 401]);
    await access.replace({ client: await certificate("third") });
    expect(await isTakenFor()).toBe("third");
  });
});

describe("a reflector, over a wire that breaks, to a real API server", () => {
  const configMaps = {
    group: "",
    version: "v1",
    plural: "configmaps",
    kind: "ConfigMap",
    scope: "Namespaced",
  } as const;
  const namespace = "default";
  /** As the operator's, with every wait a tenth or less; what a wire does to a watch is noticed all the same. */
  const timing = {
    watchSeconds: { least: 2, most: 3 },
    overdueMs: 500,
    openTimeoutMs: 1_000,
    livedMs: 200,
    pageTimeoutMs: 1_000,
    listMs: 500,
    blindLimitMs: 6_000,
    spacingMs: 50,
    backoff: { firstMs: 20, maxMs: 500 },
  };
  let wire: WireProxy;
  let access: AccessFiles;
  let credentials: Credentials;
  let cache: ObjectCache<KubeObject>;
  let reflector: Reflector<KubeObject>;
  let errors: string[];
  let stop: AbortController;
  let running: Promise<void>;

  beforeEach(async () => {
    drawn += 1;
    const { hostname, port } = api.control.address;
    wire = await WireProxy.start({ host: hostname, port: Number(port) });
    const authorities = await api.control.authorities();
    const { token } = await (await TestAccount.make(api.direct, `wire-${process.pid}-${drawn}`)).token();
    access = await AccessFiles.make({ server: `https://127.0.0.1:${wire.port}`, authorities, token });
    credentials = credentialsOf(access.kubeconfigPath);
    cache = new ObjectCache();
    errors = [];
    stop = new AbortController();
    reflector = new Reflector<KubeObject>({
      client: testClient(credentials),
      cache,
      resource: configMaps,
      namespace,
      trim: (object) => object,
      timing,
      onError: (error) => errors.push(String(error)),
    });
    running = reflector.run(stop.signal);
    await until("it watches", () => reflector.state === "Watching");
  });
  afterEach(async () => {
    stop.abort(new Error("the test is over"));
    await running;
    await credentials.close();
    await wire.stop();
    await access.remove();
  });

  const add = (name: string) =>
    api.direct.create<KubeObject>({ resource: configMaps, namespace }, { metadata: { name } }, forever);
  const has = (name: string) => cache.get(`${namespace}/${name}`) !== undefined;

  const rows: readonly [title: string, act: () => void][] = [
    ["is stalled", () => wire.freeze()],
    ["is stalled on the way back alone", () => wire.freeze("Down")],
    ["is open at one end only", () => wire.blackHole()],
    [
      "is cut, and then refused",
      () => {
        wire.refuse();
        wire.resetAll();
      },
    ],
  ];
  it.each(rows)(
    "knows that it may have missed something where its connection %s, and misses nothing",
    async (_, act) => {
      const name = `wire-${process.pid}-${drawn}`;
      act();
      await add(name);
      const completeAt = reflector.completeAt;
      await until("it has noticed, and tries again in vain", () => errors.length >= 2, 15_000);
      expect([has(name), reflector.completeAt < completeAt + 3_500]).toEqual([false, true]);
      await wire.heal();
      await until("the cache has what was added meanwhile", () => has(name), 15_000);
      await until("it watches", () => reflector.state === "Watching");
      expect(reflector.completeAt).toBeGreaterThan(completeAt);
    },
  );

  it("goes on over a new connection where the old one is cut, again and again", async () => {
    for (let times = 0; times < 3; times += 1) {
      const accepted = wire.accepted;
      wire.resetAll();
      await add(`cut-${process.pid}-${times}`);
      await until("it has what was added", () => has(`cut-${process.pid}-${times}`));
      expect(wire.accepted).toBeGreaterThan(accepted);
    }
  });

  it("takes in what comes slowly", async () => {
    wire.slow(20_000);
    await add(`slow-${process.pid}`);
    await until("it has what was added", () => has(`slow-${process.pid}`));
  });
});
