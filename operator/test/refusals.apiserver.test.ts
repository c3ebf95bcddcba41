import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TrainingRunStatus } from "../src/api/status.ts";
import { trainingRuns } from "../src/control/caches.ts";
import { Problems } from "../src/control/problems.ts";
import type { Credentials } from "../src/kubernetes/credentials.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { claims, events, pods } from "../src/kubernetes/resource.ts";
import { credentialsOf, testClient, until, useApiServer } from "./api-server.ts";
import { installTrainingRuns } from "./custom-resource.ts";
import { type Fault, FaultProxy, type Seen } from "./fault-proxy.ts";
import { OperatorLife } from "./operator-life.ts";
import { specWith } from "./run-builder.ts";

const namespaces = { group: "", version: "v1", plural: "namespaces", kind: "Namespace", scope: "Cluster" } as const;
const forever = { signal: new AbortController().signal };
const forbidden: Fault = {
  kind: "Answer",
  status: 403,
  body: { kind: "Status", reason: "Forbidden", message: "not you" },
};
const api = useApiServer(installTrainingRuns);
let drawn = 0;

describe("an operator that is refused something", () => {
  let namespace: string;
  let life: OperatorLife;

  beforeEach(async () => {
    drawn += 1;
    namespace = `refusals-${process.pid}-${drawn}`;
    await api.direct.create({ resource: namespaces }, { metadata: { name: namespace } }, forever);
    life = new OperatorLife(api.credentials, { watchNodes: false });
  });
  afterEach(() => life.kill());

  const to = (method: string, part: string) => (seen: Seen) =>
    seen.method === method && seen.path.includes(part) && !seen.isWatch;
  const run = () => ({ resource: trainingRuns, namespace, name: "mnist" });

  async function begin(): Promise<void> {
    await life.begin(namespace);
    const spec = specWith({ checkpoint: { ...(specWith().checkpoint as object), interval: { steps: 100 } } });
    const object = { apiVersion: "trainingrun.dev/v1alpha1", kind: "TrainingRun", metadata: { name: "mnist" }, spec };
    await api.direct.create({ resource: trainingRuns, namespace }, object, forever);
  }

  const status = async () => ((await api.direct.get<KubeObject>(run(), forever)).status ?? {}) as TrainingRunStatus;
  const podStands = () => until("the pod is on record", async () => (await status()).attempts?.[0]?.pods[0]?.uid);

  async function told(reason: string): Promise<readonly string[]> {
    type Told = KubeObject & Readonly<{ reason?: string; note?: string }>;
    const { items } = await api.direct.list<Told>({ resource: events, namespace }, {}, forever);
    return items.filter((event) => event.reason === reason).map(({ note }) => note ?? "");
  }
  const isTold = (reason: string) => until(`${reason} is told`, async () => (await told(reason))[0]);

  it("begins an attempt although it may not read what is said of the claim", async () => {
    life.proxy.fail(to("GET", "/events"), forbidden, 1_000);
    await begin();
    await podStands();
    expect(life.errors).toEqual([]);
  });

  it("tells what stands in status although the action after it was refused", async () => {
    await begin();
    const uid = await podStands();
    life.proxy.fail(to("PATCH", "/pods/"), forbidden);
    await api.direct.remove({ resource: pods, namespace, name: "mnist-1-0" }, { preconditions: { uid } }, forever);
    expect(await isTold("AttemptEnded")).toContain("Attempt 1 ended: Deleted");
    expect(await isTold("WriteRefused")).toContain("Cannot PATCH pods");
  });

  it("says that an attempt begins only once its pod could be created", async () => {
    life.proxy.fail(to("POST", "/pods"), forbidden, 2);
    await begin();
    await isTold("CreationRefused");
    expect(await told("AttemptStarted")).toEqual([]);
    expect((await status()).attempt).toBe(1);
  });

  it("goes on without the words that the API server will not have in the status, and says so", async () => {
    life.proxy.fail(to("PATCH", "/status"), { ...forbidden, status: 422 });
    await begin();
    await podStands();
    expect(await isTold("StatusRefused")).toMatch(/^The run goes on/);
  });

  it("creates nothing while no number can be written, says so, and goes on when one can", async () => {
    life.proxy.fail(to("PATCH", "/status"), forbidden, 1_000);
    await begin();
    expect(await isTold("StatusRefused")).toMatch(/^Nothing begins for the run until.*not you/);
    expect(life.proxy.seen.filter(to("POST", "/pods"))).toEqual([]);
    expect(life.proxy.seen.filter(to("POST", "/persistentvolumeclaims"))).toEqual([]);
    life.proxy.heal();
    await podStands();
  });
});

describe("what is said of a claim that does not bind", () => {
  let proxy: FaultProxy;
  let credentials: Credentials;
  let claim: KubeObject;
  let problems: Problems;
  let logged: string[];
  let now: number;

  beforeEach(async () => {
    drawn += 1;
    proxy = new FaultProxy(api.credentials);
    credentials = credentialsOf(await proxy.start());
    const spec = { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } };
    const metadata = { name: `claim-${process.pid}-${drawn}` };
    claim = await api.direct.create<KubeObject>(
      { resource: claims, namespace: "default" },
      { metadata, spec },
      forever,
    );
    logged = [];
    now = 0;
    const client = testClient(credentials);
    problems = new Problems({
      client,
      log: (level, message) => logged.push(`${level} ${message}`),
      now: () => now,
    });
  });
  afterEach(async () => {
    await credentials.close();
    await proxy.stop();
  });

  const faults: readonly [title: string, fault: Fault][] = [
    ["are forbidden", forbidden],
    ["fail", { kind: "Answer", status: 503 }],
    ["are never answered", { kind: "Stall" }],
  ];
  it.each(faults)("is unknown where its events %s, which is logged once until it works again", async (_, fault) => {
    const ask = async (isBroken: boolean) => {
      proxy.heal();
      if (isBroken) proxy.fail(({ path }) => path.includes("/events"), fault, 1_000);
      now += 15_000;
      return await problems.ofClaim(claim, forever);
    };
    expect([await ask(true), await ask(true)]).toEqual(["", ""]);
    expect(logged).toEqual([expect.stringMatching(/^warn events cannot be read/)]);
    await ask(false);
    await ask(true);
    expect(logged.length).toBe(2);
  });

  it("ends with the pass", async () => {
    const ending = new AbortController();
    proxy.fail(({ path }) => path.includes("/events"), { kind: "Stall" });
    const asked = problems.ofClaim(claim, { signal: ending.signal }).catch((error: unknown) => String(error));
    ending.abort(new Error("the operator is stopping"));
    expect(await asked).toContain("the operator is stopping");
  });
});
