import type { Credentials } from "../src/kubernetes/credentials.ts";
import { FaultProxy } from "./fault-proxy.ts";
import { OperatorProcess } from "./operator-process.ts";
import type { LoggedRequest } from "./request-log.ts";

/** The Lease that the replicas of a namespace lead by. */
export const leaseName = "operator";

/** One of several operators that lead by turns: its process, and a proxy that sees all that it says to the API server. */
export class OperatorReplica {
  readonly proxy: FaultProxy;
  readonly process: OperatorProcess;

  private constructor(proxy: FaultProxy, process: OperatorProcess) {
    this.proxy = proxy;
    this.process = process;
  }

  /** Starts one that serves a namespace, and whose Lease is there too. */
  static async start(
    upstream: Pick<Credentials, "current">,
    options: Readonly<{ namespace: string; name: string; watchNodes?: boolean }>,
  ): Promise<OperatorReplica> {
    const { namespace, name, watchNodes = true } = options;
    const proxy = new FaultProxy(upstream);
    try {
      const kubeconfigPath = await proxy.start();
      const environment = {
        POD_NAME: name,
        LEASE_NAMESPACE: namespace,
        LEASE_NAME: leaseName,
        WATCH_NODES: String(watchNodes),
      };
      return new OperatorReplica(proxy, await OperatorProcess.start({ kubeconfigPath, namespace, environment }));
    } catch (error) {
      await proxy.stop();
      throw error;
    }
  }

  /** Whether it says that it leads. */
  async isLeading(): Promise<boolean> {
    return (await this.process.metrics("trainingrun_leader ")).includes("trainingrun_leader 1");
  }

  /** Whether it says that another one leads, and that it sees the cluster. */
  async isFollowing(): Promise<boolean> {
    const states = await this.process.metrics("trainingrun_election_state{");
    return states.some((line) => line.includes('"Following"')) && (await this.process.isReady());
  }

  /** Everything that it has sent to change something other than the Lease, in order. */
  get writes(): readonly LoggedRequest[] {
    return this.proxy.log.filter(({ method, path }) => method !== "GET" && !path.includes("/leases"));
  }

  /** How many writes it has sent, of its Lease too. */
  get writesTried(): number {
    return this.proxy.log.filter(({ method }) => method !== "GET").length;
  }

  /** How many of them the server has taken. */
  get writesTaken(): number {
    return this.proxy.answered.filter(({ method, status }) => method !== "GET" && status < 300).length;
  }

  async stop(): Promise<void> {
    await this.process.stop();
    await this.proxy.stop();
  }
}
