import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { stringify } from "yaml";
import { z } from "zod";

/** A real Prometheus that scrapes the addresses given, on loopback, until it is stopped. */
export type Prometheus = Readonly<{
  url: string;
  /** The instant query's samples as `labels value`; an empty list when nothing matches. */
  query: (expression: string, signal?: AbortSignal) => Promise<readonly Sample[]>;
  stop: () => Promise<void>;
}>;

export type Sample = Readonly<{ labels: Readonly<Record<string, string>>; value: string }>;

type Options = Readonly<{
  directory: string;
  /** Scrape configurations as Prometheus takes them. */
  scrapeConfigs: readonly unknown[];
  signal: AbortSignal;
}>;

const readyWithinMs = 20_000;

/** Starts Debian's `prometheus`; rejects with its last words when it is not ready in 20 s. */
export async function startPrometheus({ directory, scrapeConfigs, signal }: Options): Promise<Prometheus> {
  await mkdir(directory, { recursive: true });
  const configFile = join(directory, "prometheus.yml");
  await writeFile(configFile, stringify({ global: { scrape_interval: "1s" }, scrape_configs: scrapeConfigs }));
  const port = await freePort();
  const child = spawn(
    "prometheus",
    [
      `--config.file=${configFile}`,
      `--storage.tsdb.path=${join(directory, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--log.level=warn",
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  const words: string[] = [];
  child.stderr.on("data", (chunk: Buffer) => words.push(chunk.toString()));
  const url = `http://127.0.0.1:${port}`;
  try {
    await ready(url, child, signal);
  } catch (cause) {
    await stop(child);
    throw new Error(`Cannot start Prometheus: ${words.join("").slice(-600) || "it said nothing"}`, { cause });
  }
  return { url, query: (expression, within) => query(url, expression, within ?? signal), stop: () => stop(child) };
}

const Answer = z.object({
  status: z.literal("success"),
  data: z.object({
    result: z.array(z.object({ metric: z.record(z.string(), z.string()), value: z.tuple([z.number(), z.string()]) })),
  }),
});

async function query(url: string, expression: string, signal: AbortSignal): Promise<readonly Sample[]> {
  const response = await fetch(`${url}/api/v1/query?query=${encodeURIComponent(expression)}`, {
    signal: AbortSignal.any([signal, AbortSignal.timeout(5_000)]),
  });
  const answer = Answer.parse(await response.json());
  return answer.data.result.map(({ metric, value }) => ({ labels: metric, value: value[1] }));
}

async function ready(url: string, child: ChildProcess, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + readyWithinMs;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`it ended with exit code ${child.exitCode}`);
    if (performance.now() > deadline) throw new Error(`it was not ready in ${readyWithinMs / 1000} s`);
    const answer = await fetch(`${url}/-/ready`, { signal: AbortSignal.timeout(1_000) }).catch(() => null);
    if (answer?.ok) return;
    await wait(100, undefined, { signal });
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGTERM");
  const kill = setTimeout(() => child.kill("SIGKILL"), 5_000);
  await ended;
  clearTimeout(kill);
}

/** A port that was free a moment ago: Prometheus cannot listen on 0 and say which port it got. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  if (address === null || typeof address === "string") throw new Error("Cannot find a free port on 127.0.0.1");
  return address.port;
}
