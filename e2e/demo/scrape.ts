import { setTimeout as wait } from "node:timers/promises";
import { type Installation, systemNamespace } from "../harness/installation.ts";
import { startPrometheus } from "./prometheus.ts";
import type { DemoReport } from "./report.ts";

/** A Prometheus that finds operator and agents through the API server, as one on the cluster would. */
export type Scraping = Readonly<{
  /** Runs every query; `nothing` for one without a sample. Waits a little for series that a last scrape still brings. */
  read: (signal: AbortSignal) => Promise<DemoReport["scraped"]>;
  stop: () => Promise<void>;
}>;

/** What the demo asks; each must have an answer. */
const queries = [
  'sum(trainingrun_attempts_total{run="mnist"})',
  'sum(trainingrun_disruptions_total{run="mnist"})',
  'sum(trainingrun_failures_total{run="mnist"})',
  'sum(trainingrun_lost_steps_total{run="mnist"})',
  'max(trainingrun_verified_step{run="mnist"})',
  'count(max_over_time(up{job="agents"}[1h]) == 1)',
  "sum(max_over_time(trainingrun_agent_checkpoints_verified_total[1h]))",
  'sum by (reason) (max_over_time(trainingrun_agent_verification_failures_total{reason="BytesDiffer"}[1h]))',
  "max(max_over_time(trainingrun_agent_restore_seconds[1h]))",
] as const;

const waitForSeriesMs = 15_000;

/** Starts scraping; it goes on, while pods come and go, until it is stopped. */
export async function scrapeProducts(options: {
  installation: Installation;
  directory: string;
  signal: AbortSignal;
}): Promise<Scraping> {
  const { installation, directory, signal } = options;
  const discovery = {
    kubernetes_sd_configs: [{ role: "pod", kubeconfig_file: installation.cluster.kubeconfigPath }],
    scrape_interval: "1s",
    scrape_timeout: "1s",
  };
  const keep = (source: string, regex: string) => ({ source_labels: [source], regex, action: "keep" });
  const prometheus = await startPrometheus({
    directory,
    signal,
    scrapeConfigs: [
      {
        job_name: "operator",
        ...discovery,
        relabel_configs: [
          keep("__meta_kubernetes_namespace", systemNamespace),
          keep("__meta_kubernetes_pod_container_port_name", "http"),
        ],
      },
      {
        job_name: "agents",
        ...discovery,
        relabel_configs: [
          keep("__meta_kubernetes_pod_labelpresent_trainingrun_dev_run", "true"),
          keep("__meta_kubernetes_pod_container_port_name", "agent"),
          { source_labels: ["__meta_kubernetes_pod_name"], target_label: "pod" },
        ],
      },
    ],
  });
  const read = async (within: AbortSignal) => {
    const deadline = performance.now() + waitForSeriesMs;
    for (;;) {
      const scraped = await Promise.all(
        queries.map(async (query) => ({
          query,
          value: (await prometheus.query(query, within)).map(({ value }) => value).join(", ") || "nothing",
        })),
      );
      if (scraped.every(({ value }) => value !== "nothing") || performance.now() > deadline) return scraped;
      await wait(500, undefined, { signal: within });
    }
  };
  return { read, stop: prometheus.stop };
}
