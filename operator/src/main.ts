import { type Config, ConfigError, type ReleaseConfig, readConfig, readReleaseConfig } from "./config.ts";
import { jsonLog } from "./control/log.ts";
import { Operator } from "./control/operator.ts";
import { decide } from "./core/decide.ts";
import { ApiClient, type RequestObserver } from "./kubernetes/client.ts";
import { Credentials } from "./kubernetes/credentials.ts";
import { RequestLimit } from "./kubernetes/request-limit.ts";
import { release } from "./release.ts";
import { healthFaults, readyFaults, unservedNotes } from "./serve/health.ts";
import { serveHttp } from "./serve/http.ts";
import { type MetricsSink, operatorMetrics } from "./serve/operator-metrics.ts";
import { MetricsRegistry } from "./serve/registry.ts";

const hardStopMs = 15_000;
const passResult = { Settled: "settled", Held: "held", Again: "again" } as const;
const log = jsonLog((line) => process.stderr.write(line));
const stopSignal = stopOnSignals();

try {
  const args = process.argv.slice(2);
  if (args[0] === "release") await letEverythingGo(readReleaseConfig(process.env, args.slice(1)), stopSignal);
  else await main(readConfig(process.env, args), stopSignal);
  process.exit(0);
} catch (error) {
  if (error instanceof ConfigError) process.stderr.write(`${error.message}\n`);
  else
    log("error", "the operator ends because of an error", {
      error,
      stack: error instanceof Error ? error.stack : "",
    });
  process.exit(error instanceof ConfigError ? 2 : 1);
}

/** Puts the parts together and runs them until the signal. */
async function main(config: Config, signal: AbortSignal): Promise<void> {
  const registry = new MetricsRegistry();
  const metrics: MetricsSink = operatorMetrics(registry, () => ({
    runs: () => operator.caches.runs.all(),
    queue: () => operator.queue,
    watches: () => operator.caches.reflectors,
    refused: () => [...operator.caches.refused.keys()],
    events: () => operator.events,
  }));
  const credentials = credentialsFrom(config);
  const operator = makeOperator(config, { credentials, metrics });
  const server = await serveHttp({
    ...config.listen,
    metrics: () => registry.text(),
    healthy: () => healthFaults({ longestPassMs: operator.queue.longestRunningMs }),
    ready: () => readyFaults({ watches: operator.caches.needed, now: performance.now() }),
    notes: () => unservedNotes(operator.caches.refused),
  });
  log("info", "the operator has started", {
    address: config.listen.address,
    port: server.port,
    namespaces: config.watchNamespaces,
  });
  try {
    await operator.run(signal);
    log("info", "the operator has stopped");
  } finally {
    await server.close();
    await credentials.close();
  }
}

/** The command `release`: prepares for an uninstall, and ends. */
async function letEverythingGo(config: ReleaseConfig, signal: AbortSignal): Promise<void> {
  const credentials = credentialsFrom(config);
  const client = makeClient(credentials, { requestsPerSecond: 50, burst: 100, inFlight: 8 });
  try {
    log("info", "finalizers are taken off before an uninstall", { namespaces: config.watchNamespaces });
    log("info", "nothing is held any more", await release({ ...config, client, log }, { signal }));
  } finally {
    await credentials.close();
  }
}

function makeOperator(config: Config, parts: Readonly<{ credentials: Credentials; metrics: MetricsSink }>): Operator {
  const { credentials, metrics } = parts;
  return new Operator({
    client: makeClient(credentials, config.api, metrics.request),
    decide: (observed) => decide(observed, config.pods),
    namespaces: config.watchNamespaces,
    watchNodes: config.watchNodes,
    workers: config.workers,
    instance: config.instance,
    probeIntervalMs: config.probeIntervalSeconds * 1000,
    log,
    onPass: (run, { seconds, outcome, error }) => {
      metrics.pass(outcome === undefined ? "error" : passResult[outcome.kind], seconds);
      if (error !== undefined) log("error", "a pass failed and will be repeated", { run, error });
      else if (outcome?.kind === "Again") log("info", "a pass will be repeated", { run, why: outcome.why });
    },
    onAttemptEnded: metrics.attemptEnded,
    onWatchError: (error, about) => {
      metrics.watchError(about);
      log("warn", "a watch broke and goes on", { watch: about, error });
    },
  });
}

function credentialsFrom({ credentials }: Pick<Config, "credentials">): Credentials {
  return new Credentials(credentials, {
    onUnreadable: (error) => log("warn", "the credentials cannot be read; the last good ones are used", { error }),
  });
}

function makeClient(credentials: Credentials, api: Config["api"], observe?: RequestObserver): ApiClient {
  return new ApiClient({
    credentials,
    limit: new RequestLimit({ perSecond: api.requestsPerSecond, burst: api.burst, inFlight: api.inFlight }),
    retry: { tries: 5, backoff: { firstMs: 200, maxMs: 10_000, random: Math.random }, longestRetryAfterMs: 30_000 },
    timeoutMs: 30_000,
    userAgent: "trainingrun-operator",
    ...(observe === undefined ? {} : { observe }),
  });
}

/** Aborted by the first SIGTERM or SIGINT; whatever is not over then ends the hard way. */
function stopOnSignals(): AbortSignal {
  const stop = new AbortController();
  for (const name of ["SIGTERM", "SIGINT"] as const) {
    process.once(name, () => {
      log("info", "the operator is asked to stop", { signal: name });
      stop.abort(new Error(`received ${name}`));
      setTimeout(() => process.exit(1), hardStopMs).unref();
    });
  }
  return stop.signal;
}
