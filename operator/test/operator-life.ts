import { Operator } from "../src/control/operator.ts";
import { decide } from "../src/core/decide.ts";
import type { Credentials } from "../src/kubernetes/credentials.ts";
import { FaultProxy } from "./fault-proxy.ts";
import { credentialsOf, testClient } from "./test-client.ts";

const settings = { agentImage: "agent:1", agentImagePullPolicy: "IfNotPresent", agentResources: {} } as const;

/** `agentPort` is where agents listen that a test plays. */
type LifeOptions = Readonly<{ watchNodes: boolean; agentPort?: number }>;

/** One operator behind a proxy of its own, so that it can be cut off as a killed process is. */
export class OperatorLife {
  readonly proxy: FaultProxy;
  readonly errors: unknown[] = [];
  /** What it has written into its log. */
  readonly logged: Readonly<Record<string, unknown>>[] = [];
  #credentials: Credentials | undefined;
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();

  readonly #options: LifeOptions;

  constructor(upstream: Credentials, options: LifeOptions = { watchNodes: true }) {
    this.proxy = new FaultProxy(upstream);
    this.#options = options;
  }

  async begin(namespace: string): Promise<void> {
    this.#credentials = credentialsOf(await this.proxy.start());
    const operator = new Operator({
      client: testClient(this.#credentials),
      decide: (observed) => decide(observed, settings),
      namespaces: [namespace],
      ...this.#options,
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
    this.#stop.abort(new Error("killed"));
    await this.#running;
    await this.#credentials?.close();
    await this.proxy.stop();
  }
}
