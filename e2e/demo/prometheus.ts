import { mkdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { stringify } from "yaml";
import { z } from "zod";
import { startChild, waitFor } from "../cluster/processes/child.ts";

/** A real Prometheus that scrapes the addresses given, on loopback, until it is stopped or this process ends. */
export type Prometheus = Readonly<{
  /** The values of the instant query's samples; an empty list when nothing matches. */
  query: (expression: string, signal: AbortSignal) => Promise<readonly string[]>;
  stop: () => Promise<void>;
}>;

type Options = Readonly<{
  /** Emptied first: what an earlier Prometheus knew must not answer for this one. */
  directory: string;
  /** Scrape configurations as Prometheus takes them. */
  scrapeConfigs: readonly unknown[];
  signal: AbortSignal;
}>;

const readyWithinMs = 20_000;

/** Starts Debian's `prometheus`; rejects with its last words when it is not ready in 20 s. */
export async function startPrometheus({ directory, scrapeConfigs, signal }: Options): Promise<Prometheus> {
  const configFile = join(directory, "prometheus.yml");
  const dataDirectory = join(directory, "data");
  await rm(dataDirectory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  await writeFile(configFile, stringify({ global: { scrape_interval: "1s" }, scrape_configs: scrapeConfigs }));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = startChild({
    name: "prometheus",
    command: "prometheus",
    args: [
      `--config.file=${configFile}`,
      `--storage.tsdb.path=${dataDirectory}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--log.level=warn",
    ],
    logPath: join(directory, "prometheus.log"),
  });
  const probe = async () => {
    const answer = await fetch(`${url}/-/ready`, { signal: AbortSignal.timeout(1_000) }).catch(() => null);
    return answer?.ok === true;
  };
  try {
    await waitFor(child, { what: "its readiness", probe, timeoutMs: readyWithinMs, signal });
  } catch (error) {
    await child.stop();
    throw error;
  }
  return { query: (expression, within) => query(url, expression, within), stop: () => child.stop() };
}

const Answer = z.object({
  status: z.literal("success"),
  data: z.object({ result: z.array(z.object({ value: z.tuple([z.number(), z.string()]) })) }),
});

async function query(url: string, expression: string, signal: AbortSignal): Promise<readonly string[]> {
  const response = await fetch(`${url}/api/v1/query?query=${encodeURIComponent(expression)}`, {
    signal: AbortSignal.any([signal, AbortSignal.timeout(5_000)]),
  });
  return Answer.parse(await response.json()).data.result.map(({ value }) => value[1]);
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
