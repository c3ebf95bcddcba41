import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { z } from "zod";
import type { ApiClient } from "../cluster/control-plane/api-client.ts";
import { type Installation, systemNamespace } from "../harness/installation.ts";
import { PodView } from "../harness/run-view.ts";
import { type Prometheus, startPrometheus } from "./prometheus.ts";
import type { DemoReport } from "./report.ts";

/** A real Prometheus that scrapes the operator and every agent while they live. */
export type Scraping = Readonly<{
  /** Runs every query; `nothing` for one without a sample. Waits a little for what a last scrape still brings. */
  read: (signal: AbortSignal) => Promise<DemoReport["scraped"]>;
  stop: () => Promise<void>;
}>;

/** What the demo asks of Prometheus, and what the answer has to be. */
type Query = Readonly<{ query: string; expected: string; met: (value: number) => boolean }>;

const queries: readonly Query[] = [
  exactly('sum(trainingrun_attempts_total{run="mnist"})', 6),
  exactly('sum(trainingrun_disruptions_total{run="mnist"})', 3),
  exactly('sum(trainingrun_failures_total{run="mnist"})', 1),
  atLeast('sum(trainingrun_lost_steps_total{run="mnist"})', 0),
  atLeast('max(trainingrun_verified_step{run="mnist"})', 1),
  atLeast('count(max_over_time(up{job="agents"}[1h]) == 1)', 1),
  atLeast("sum(max_over_time(trainingrun_agent_checkpoints_verified_total[1h]))", 1),
  atLeast("max(max_over_time(trainingrun_agent_restore_seconds[1h]))", 0),
];

/** What is done to the checkpoints differs: with an object store a volume is lost, without one a bit is flipped. */
const queryOfDamage = atLeast(
  'sum(max_over_time(trainingrun_agent_restore_refused_checkpoints{reason="BytesDiffer"}[1h]))',
  1,
);
const queryOfMirror = atLeast("sum(max_over_time(trainingrun_agent_checkpoints_mirrored_total[1h]))", 1);

function exactly(query: string, value: number) {
  return { query, expected: `${value}`, met: (seen: number) => seen === value };
}

function atLeast(query: string, value: number) {
  return { query, expected: `at least ${value}`, met: (seen: number) => seen >= value };
}

/** Whom to scrape: which pods, and the port their metrics are on. */
const jobs = [
  { name: "operator", path: `/api/v1/namespaces/${systemNamespace}/pods`, port: 8080 },
  { name: "agents", path: "/api/v1/pods?labelSelector=trainingrun.dev%2Frun", port: 9464 },
] as const;

const waitForSeriesMs = 15_000;
const discoverEveryMs = 300;

/** Starts scraping; it goes on, while pods come and go, until it is stopped. */
export async function scrapeProducts(options: {
  installation: Installation;
  directory: string;
  objectStore: boolean;
  signal: AbortSignal;
}): Promise<Scraping> {
  const { installation, directory, objectStore, signal } = options;
  const asked = [...queries, objectStore ? queryOfMirror : queryOfDamage];
  await mkdir(directory, { recursive: true });
  const end = new AbortController();
  let broken: unknown = null;
  const discovery = discoverUntil(AbortSignal.any([signal, end.signal]), { api: installation.api, directory }).catch(
    (error: unknown) => {
      broken = error;
    },
  );
  const prometheus = await startPrometheus({
    directory,
    signal,
    scrapeConfigs: jobs.map(({ name }) => ({
      job_name: name,
      scrape_interval: "1s",
      scrape_timeout: "1s",
      file_sd_configs: [{ files: [targetsFile(directory, name)], refresh_interval: "1s" }],
    })),
  }).catch(async (error: unknown) => {
    end.abort();
    await discovery;
    throw error;
  });
  const read = async (within: AbortSignal) => {
    const deadline = performance.now() + waitForSeriesMs;
    for (;;) {
      if (broken !== null) throw new Error(`Cannot tell Prometheus whom to scrape: ${broken}`, { cause: broken });
      const scraped = await Promise.all(asked.map((one) => ask(prometheus, one, within)));
      if (scraped.every(({ met }) => met) || performance.now() > deadline) return scraped;
      await wait(500, undefined, { signal: within });
    }
  };
  const stop = async () => {
    end.abort();
    await discovery;
    await prometheus.stop();
  };
  return { read, stop };
}

async function ask(
  prometheus: Prometheus,
  { query, expected, met }: Query,
  signal: AbortSignal,
): Promise<DemoReport["scraped"][number]> {
  const values = await prometheus.query(query, signal);
  // Every query has one value; several would mean that it did not ask what it seems to.
  return { query, value: values.join(", ") || "nothing", expected, met: values.length === 1 && met(Number(values[0])) };
}

const Pods = z.object({ items: z.array(PodView) });

/**
 * Tells Prometheus where the pods are, by files: Debian's build has no discovery through the API server. A look that fails
 * is made again at the next turn; what was known stays in the file until then.
 */
async function discoverUntil(signal: AbortSignal, to: { api: ApiClient; directory: string }): Promise<void> {
  while (!signal.aborted) {
    for (const job of jobs) {
      const answer = await to.api.request("GET", job.path).catch(() => null);
      const pods = Pods.safeParse(answer?.body);
      if (!pods.success) continue;
      const targets = pods.data.items.flatMap(({ metadata, status }) =>
        status.phase === "Running" && status.podIP !== undefined
          ? [{ targets: [`${status.podIP}:${job.port}`], labels: { pod: metadata.name } }]
          : [],
      );
      const file = targetsFile(to.directory, job.name);
      await writeFile(`${file}.new`, JSON.stringify(targets));
      await rename(`${file}.new`, file);
    }
    await wait(discoverEveryMs, undefined, { signal }).catch(() => undefined);
  }
}

function targetsFile(directory: string, job: string): string {
  return join(directory, `targets-${job}.json`);
}
