import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TrainingRunStatus } from "../src/api/status.ts";
import { trainingRuns } from "../src/control/caches.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { leases, readLease } from "../src/kubernetes/lease-record.ts";
import { pods } from "../src/kubernetes/resource.ts";
import { until, useApiServer } from "./api-server.ts";
import { installTrainingRuns } from "./custom-resource.ts";
import type { Seen } from "./fault-proxy.ts";
import { leaseName, OperatorReplica } from "./operator-replica.ts";
import { appliedRun } from "./run-builder.ts";

const namespaces = { group: "", version: "v1", plural: "namespaces", kind: "Namespace", scope: "Cluster" } as const;
const forever = { signal: new AbortController().signal };
/** A lease lasts 15 s, and what is waited for may come after it. */
const takeoverMs = 25_000;
const isStatusWrite = ({ method, path }: Seen) => method === "PATCH" && path.includes("/status");
const isCreation = ({ method, path }: Seen) => method === "POST" && path.endsWith("/pods");

const api = useApiServer(installTrainingRuns);
let drawn = 0;

describe("two processes of the operator, of which one leads", () => {
  let namespace: string;
  let replicas: OperatorReplica[];
  let leader: OperatorReplica;
  let other: OperatorReplica;

  beforeEach(async () => {
    drawn += 1;
    namespace = `leader-change-${process.pid}-${drawn}`;
    await api.direct.create({ resource: namespaces }, { metadata: { name: namespace } }, forever);
    replicas = [];
    leader = await start("first");
    await until("the first one leads", () => leader.isLeading());
    other = await start("second");
    await until("the second one follows", () => other.isFollowing());
  });
  afterEach(async () => {
    await Promise.all(replicas.map((replica) => replica.stop()));
  });

  async function start(name: string): Promise<OperatorReplica> {
    const replica = await OperatorReplica.start(api.credentials, { namespace, name });
    replicas.push(replica);
    return replica;
  }

  async function createRun(name: string): Promise<void> {
    await api.direct.create({ resource: trainingRuns, namespace }, appliedRun(name), forever);
  }

  async function attemptOf(name: string): Promise<number | undefined> {
    const run = await api.direct.get<KubeObject>({ resource: trainingRuns, namespace, name }, forever);
    return (run.status as TrainingRunStatus | undefined)?.attempt;
  }

  async function podsOf(name: string): Promise<readonly string[]> {
    const { items } = await api.direct.list<KubeObject>({ resource: pods, namespace }, {}, forever);
    const found = items.filter(({ metadata }) => metadata.name.startsWith(`${name}-`));
    return found.map(({ metadata }) => `${metadata.name} ${metadata.uid}`);
  }

  const hasPod = (name: string) =>
    until(`run ${name} has a pod`, async () => (await podsOf(name)).length > 0, takeoverMs);

  /** The leader wakes up. The other one still works when it has come to itself, and it has written nothing by then. */
  async function wakesWithoutHarm(): Promise<void> {
    const [before, written] = [await podsOf("mnist"), leader.writes.length];
    leader.process.thaw();
    await until("it follows", () => leader.isFollowing());
    await createRun("next");
    await hasPod("next");
    expect(leader.writes.slice(written)).toEqual([]);
    expect(await podsOf("mnist")).toEqual(before);
    expect([await leader.isLeading(), await other.isLeading()]).toEqual([false, true]);
  }

  it("hand the lead over at once where the first one is asked to end", async () => {
    leader.process.terminate();
    // A lease that nobody gives up lasts longer than is waited for here.
    await until("the second one leads", () => other.isLeading(), 10_000);
    await until("the first one has ended", () => leader.process.ending);
    expect(leader.process.ending).toBe("exit code 0");
    const { transitions } = readLease(await api.direct.get({ resource: leases, namespace, name: leaseName }, forever));
    expect(transitions).toBe(1);
    await createRun("mnist");
    await hasPod("mnist");
  });

  it("go on with what the first one has begun where it dies between its word and its deed", async () => {
    leader.proxy.fail(isStatusWrite, { kind: "LoseAnswerForGood" });
    await createRun("mnist");
    await until("the intent is written", async () => (await attemptOf("mnist")) === 1);
    await leader.process.kill();
    expect(await podsOf("mnist")).toEqual([]);
    await hasPod("mnist");
    expect(await attemptOf("mnist")).toBe(1);
  });

  it("come to no harm where the first one sleeps between its word and its deed, and wakes", async () => {
    const held = leader.proxy.fail(isStatusWrite, { kind: "Hold", what: "Answer" });
    await createRun("mnist");
    await until("the intent is written", async () => (await attemptOf("mnist")) === 1);
    leader.process.freeze();
    held.remove();
    expect(await podsOf("mnist")).toEqual([]);
    await hasPod("mnist");
    await wakesWithoutHarm();
    expect(await attemptOf("mnist")).toBe(1);
  });

  it("come to no harm where what the first one was about to create arrives when the second one has created it", async () => {
    const held = leader.proxy.fail(isCreation, { kind: "Hold", what: "Request" });
    await createRun("mnist");
    await until("the creation is on its way", () => held.hits() > 0);
    leader.process.freeze();
    await hasPod("mnist");
    held.remove();
    await until("it has arrived", () => leader.proxy.answered.some(isCreation));
    expect(leader.proxy.answered.filter(isCreation).map(({ status }) => status)).toEqual([409]);
    await wakesWithoutHarm();
  });
});
