import { Operator } from "../src/control/operator.ts";
import { decide } from "../src/core/decide.ts";
import type { Credentials } from "../src/kubernetes/credentials.ts";
import { type ElectionState, LeaderElection, uniqueIdentity } from "../src/kubernetes/leader-election.ts";
import type { LeaseTiming } from "../src/kubernetes/lease.ts";
import { FaultProxy } from "./fault-proxy.ts";
import { credentialsOf, testClient } from "./test-client.ts";

const settings = { agentImage: "agent:1", agentImagePullPolicy: "IfNotPresent", agentResources: {} } as const;

/** The Lease by which several operators lead by turns. */
export type LifeLease = Readonly<{ namespace: string; name: string; timing: LeaseTiming }>;

/** `agentPort` is where agents listen that a test plays; without a `lease` it is the only one, and leads. */
type LifeOptions = Readonly<{ watchNodes: boolean; agentPort?: number; lease?: LifeLease }>;

/** One operator behind a proxy of its own, so that it can be cut off as a killed process is. */
export class OperatorLife {
  readonly proxy: FaultProxy;
  readonly errors: unknown[] = [];
  /** What it has written into its log. */
  readonly logged: Readonly<Record<string, unknown>>[] = [];
  #credentials: Credentials | undefined;
  #election: LeaderElection | undefined;
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();

  readonly #options: LifeOptions;

  constructor(upstream: Credentials, options: LifeOptions = { watchNodes: true }) {
    this.proxy = new FaultProxy(upstream);
    this.#options = options;
  }

  /** What it is about to do with the Lease; undefined where there is none. */
  get electionState(): ElectionState | undefined {
    return this.#election?.state;
  }

  async begin(namespace: string): Promise<void> {
    const credentials = credentialsOf(await this.proxy.start());
    this.#credentials = credentials;
    const { lease, ...options } = this.#options;
    const operator = new Operator({
      client: testClient(credentials),
      ...(lease === undefined ? {} : { leadership: this.#leadBy(lease, credentials) }),
      decide: (observed) => decide(observed, settings),
      namespaces: [namespace],
      ...options,
      workers: 2,
      instance: "test",
      probeIntervalMs: 60_000,
      log: (level, message, fields) => this.logged.push({ level, message, ...fields }),
      onPass: (_, { error }) => {
        if (error !== undefined && !this.proxy.isCut) this.errors.push(error);
      },
      onAttemptEnded: () => undefined,
      onWatchError: () => undefined,
      timing: { backoff: { firstMs: 20, maxMs: 200 } },
    });
    this.#running = operator.run(this.#stop.signal);
  }

  /** Ends it without a last word: nothing that it still says is heard. */
  async kill(): Promise<void> {
    this.proxy.cut();
    await this.stop();
  }

  /** Asks it to end; returns when it has. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error("asked to end"));
    await this.#running;
    await this.#credentials?.close();
    await this.proxy.stop();
  }

  #leadBy({ timing, ...lease }: LifeLease, credentials: Credentials) {
    const election = new LeaderElection({
      client: testClient(credentials),
      lease,
      identity: uniqueIdentity("test"),
      timing,
      now: () => performance.now(),
      random: Math.random,
      onChange: () => undefined,
      onError: () => undefined,
    });
    this.#election = election;
    return { election, clientFor: (mayWrite: () => void) => testClient(credentials, { mayWrite }) };
  }
}
