import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Child, startChild } from "../../e2e/cluster/processes/child.ts";
import { until } from "./api-server.ts";

const program = join(import.meta.dirname, "../src/main.ts");

/** What the process may ask of the API server, narrow enough to be felt. */
export const requestLimits = { burst: 40, perSecond: 5, inFlight: 8 } as const;

/** The operator as it is started in a cluster: a process of its own, seen from outside. */
export class OperatorProcess {
  readonly #child: Child;
  readonly #directory: string;
  readonly #port: number;

  private constructor(child: Child, directory: string, port: number) {
    this.#child = child;
    this.#directory = directory;
    this.#port = port;
  }

  static async start(kubeconfigPath: string, namespace: string): Promise<OperatorProcess> {
    const directory = await mkdtemp(join(tmpdir(), "trainingrun-operator-"));
    const logPath = join(directory, "operator.log");
    const env = {
      KUBECONFIG: kubeconfigPath,
      WATCH_NAMESPACES: namespace,
      AGENT_IMAGE: "agent:1",
      LISTEN_ADDRESS: "127.0.0.1",
      PORT: "0",
      API_REQUESTS_PER_SECOND: String(requestLimits.perSecond),
      API_BURST: String(requestLimits.burst),
      API_IN_FLIGHT: String(requestLimits.inFlight),
    };
    const child = startChild({ name: "operator", command: process.execPath, args: [program], env, logPath });
    const port = await until(
      "the operator listens",
      async () => Number(/"port":(\d+)/.exec(await readFile(logPath, "utf8"))?.[1]) || undefined,
      30_000,
    );
    return new OperatorProcess(child, directory, port);
  }

  /** How it ended; undefined while it runs. */
  get ending(): string | undefined {
    return this.#child.ending();
  }

  /** Whether it says that it sees the cluster. */
  async isReady(): Promise<boolean> {
    return (await this.#get("/readyz")).status === 200;
  }

  /** Whether it says that it works. */
  async isHealthy(): Promise<boolean> {
    return (await this.#get("/healthz")).status === 200;
  }

  /** How many requests to the API server it has made so far, those without an answer too; of one code where it is given. */
  async requests(code?: number): Promise<number> {
    const { text } = await this.#get("/metrics");
    const samples = text.split("\n").filter((line) => line.startsWith("rest_client_requests_total{"));
    const counted = samples.filter((line) => code === undefined || line.includes(`code="${code}"`));
    return counted.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
  }

  async log(): Promise<string> {
    return await readFile(this.#child.logPath, "utf8");
  }

  async stop(): Promise<void> {
    await this.#child.stop(15_000);
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #get(path: string): Promise<Readonly<{ status: number; text: string }>> {
    const answer = await fetch(`http://127.0.0.1:${this.#port}${path}`, { signal: AbortSignal.timeout(10_000) });
    return { status: answer.status, text: await answer.text() };
  }
}
