import { setTimeout as delay } from "node:timers/promises";
import { trainingRuns } from "@trainingrun/operator/control/caches.ts";
import type { ApiClient } from "@trainingrun/operator/kubernetes/client.ts";
import type { Credentials } from "@trainingrun/operator/kubernetes/credentials.ts";
import type { KubeObject } from "@trainingrun/operator/kubernetes/kube-object.ts";
import { pods } from "@trainingrun/operator/kubernetes/resource.ts";
import { OperatorReplica } from "../../operator/test/operator-replica.ts";
import { appliedRun } from "../../operator/test/run-builder.ts";
import { until } from "../../operator/test/until.ts";

const namespaces = { group: "", version: "v1", plural: "namespaces", kind: "Namespace", scope: "Cluster" } as const;
const forever = { signal: new AbortController().signal };
const inPlaceMs = 30_000;
/** More than the goal: a change of the leader that takes longer is a figure, not an end. */
const takeoverMs = 60_000;
const betweenRunsMs = 200;

/** The administrator's way to the API server. */
export type Access = Readonly<{ client: ApiClient; credentials: Credentials }>;

/** Two processes of the operator, of which one leads and the other follows, and the runs that they serve. */
export class OperatorPair {
  readonly #access: Access;
  readonly #namespace: string;
  #leader: OperatorReplica;
  #other: OperatorReplica;
  #started = 2;
  #runs = 0;

  private constructor(access: Access, namespace: string, replicas: readonly [OperatorReplica, OperatorReplica]) {
    const [leader, other] = replicas;
    this.#access = access;
    this.#namespace = namespace;
    this.#leader = leader;
    this.#other = other;
  }

  /** Starts both, in a namespace of their own; returns when they are in place. */
  static async start(access: Access, namespace: string): Promise<OperatorPair> {
    const { client, credentials } = access;
    await client.create({ resource: namespaces }, { metadata: { name: namespace } }, forever);
    const leader = await OperatorReplica.start(credentials, { namespace, name: "operator-1" });
    try {
      await until("the first operator leads", () => leader.isLeading(), inPlaceMs);
      const other = await OperatorReplica.start(credentials, { namespace, name: "operator-2" });
      const pair = new OperatorPair(access, namespace, [leader, other]);
      await pair.areInPlace();
      return pair;
    } catch (error) {
      await leader.stop();
      throw error;
    }
  }

  get leader(): OperatorReplica {
    return this.#leader;
  }

  /** Returns when the one leads and the other follows. */
  async areInPlace(): Promise<void> {
    await until("one operator leads", () => this.#leader.isLeading(), inPlaceMs);
    await until("the other one follows", () => this.#other.isFollowing(), inPlaceMs);
  }

  /** The leader is gone: the other one leads, and a new process follows it. */
  async replaceLeader(): Promise<void> {
    await this.#leader.stop();
    this.#leader = this.#other;
    this.#started += 1;
    const options = { namespace: this.#namespace, name: `operator-${this.#started}` };
    this.#other = await OperatorReplica.start(this.#access.credentials, options);
    await this.areInPlace();
  }

  /** The leader has lost its lead to the other one. */
  swap(): void {
    [this.#leader, this.#other] = [this.#other, this.#leader];
  }

  /** Creates a run, for whoever leads. */
  async createRun(): Promise<void> {
    this.#runs += 1;
    const run = appliedRun(`run-${this.#runs}`);
    await this.#access.client.create({ resource: trainingRuns, namespace: this.#namespace }, run, forever);
  }

  /** Creates one after the other until the signal is aborted. */
  async createRuns(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.createRun();
      await delay(betweenRunsMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** When the server had taken the first write of the other one since an instant, both on this process's monotonic clock. */
  async otherWrites(since: number, signal: AbortSignal): Promise<number> {
    const firstWrite = () => {
      signal.throwIfAborted();
      const taken = this.#other.writes.filter(({ atMs, status = 0 }) => atMs >= since && status >= 200 && status < 300);
      return taken[0]?.endedAtMs;
    };
    return await until("the other operator has written", firstWrite, takeoverMs);
  }

  /** Every pod by its name and uid. */
  async pods(): Promise<ReadonlySet<string>> {
    const target = { resource: pods, namespace: this.#namespace };
    const { items } = await this.#access.client.list<KubeObject>(target, {}, forever);
    return new Set(items.map(({ metadata }) => `${metadata.name} ${metadata.uid}`));
  }

  /** Returns when there are as many pods as runs; each run has one, which nobody schedules. */
  async everyRunHasItsPod(): Promise<void> {
    await until("every run has a pod", async () => (await this.pods()).size >= this.#runs, takeoverMs);
  }

  async stop(): Promise<void> {
    await Promise.all([this.#leader.stop(), this.#other.stop()]);
  }
}
