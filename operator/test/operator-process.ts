import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Child, startChild } from "../../e2e/cluster/processes/child.ts";
import { until } from "./until.ts";

const program = join(import.meta.dirname, "../src/main.ts");

/** What is said to the process; what `environment` sets wins. */
export type OperatorProcessOptions = Readonly<{
  kubeconfigPath: string;
  namespace: string;
  environment?: Readonly<Record<string, string>>;
}>;

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

  static async start(options: OperatorProcessOptions): Promise<OperatorProcess> {
    const { kubeconfigPath, namespace, environment } = options;
    const directory = await mkdtemp(join(tmpdir(), "trainingrun-operator-"));
    const logPath = join(directory, "operator.log");
    const env = {
      KUBECONFIG: kubeconfigPath,
      WATCH_NAMESPACES: namespace,
      AGENT_IMAGE: "agent:1",
      LISTEN_ADDRESS: "127.0.0.1",
      PORT: "0",
      ...environment,
    };
    const child = startChild({ name: "operator", command: process.execPath, args: [program], env, logPath });
    const port = await until(
      "the operator listens",
      async () => Number(/"port":(\d+)/.exec(await readFile(logPath, "utf8"))?.[1]) || undefined,
      30_000,
    );
    return new OperatorProcess(child, directory, port);
  }

  get pid(): number {
    return this.#child.identity.pid;
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
    const samples = await this.metrics("rest_client_requests_total{");
    const counted = samples.filter((line) => code === undefined || line.includes(`code="${code}"`));
    return counted.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
  }

  /** The lines of its metrics that begin so. */
  async metrics(beginning: string): Promise<readonly string[]> {
    return (await this.#get("/metrics")).text.split("\n").filter((line) => line.startsWith(beginning));
  }

  async log(): Promise<string> {
    return await readFile(this.#child.logPath, "utf8");
  }

  /** Stops it where it stands: its clocks and its connections go on without it. */
  freeze(): void {
    this.#signal("SIGSTOP");
  }

  thaw(): void {
    this.#signal("SIGCONT");
  }

  /** Ends it without a last word; returns when it is gone. */
  async kill(): Promise<void> {
    this.#signal("SIGKILL");
    await until("the operator is gone", () => this.ending !== undefined);
  }

  /** Asks it to end; returns at once. */
  terminate(): void {
    this.#signal("SIGTERM");
  }

  /** Ends it, in good order where it still can, and removes what it has left. */
  async stop(): Promise<void> {
    this.thaw();
    await this.#child.stop(15_000);
    await rm(this.#directory, { recursive: true, force: true });
  }

  #signal(name: "SIGSTOP" | "SIGCONT" | "SIGTERM" | "SIGKILL"): void {
    if (this.ending === undefined) process.kill(this.#child.identity.pid, name);
  }

  async #get(path: string): Promise<Readonly<{ status: number; text: string }>> {
    const answer = await fetch(`http://127.0.0.1:${this.#port}${path}`, { signal: AbortSignal.timeout(10_000) });
    return { status: answer.status, text: await answer.text() };
  }
}
