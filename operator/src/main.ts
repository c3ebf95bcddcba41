import { type Config, ConfigError, type ReleaseConfig, readConfig, readReleaseConfig } from "./config.ts";
import { jsonLog } from "./control/log.ts";
import { Operator } from "./control/operator.ts";
import { decide } from "./core/decide.ts";
import { ApiClient, type ApiClientOptions } from "./kubernetes/client.ts";
import { Credentials } from "./kubernetes/credentials.ts";
import { LeaderElection, uniqueIdentity } from "./kubernetes/leader-election.ts";
import { leaseTiming } from "./kubernetes/lease.ts";
import { RequestLimit } from "./kubernetes/request-limit.ts";
import { release } from "./release.ts";
import { healthFaults, readyFaults, unservedNotes } from "./serve/health.ts";
import { serveHttp } from "./serve/http.ts";
import { type MetricsSink, operatorMetrics } from "./serve/operator-metrics.ts";
import { MetricsRegistry } from "./serve/registry.ts";

const hardStopMs = 15_000;
/** What the metrics show of the work while another operator leads. */
const noQueue = { depth: 0, running: 0, longestRunningMs: 0 };
const noEvents = { backlog: 0 };
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
    runs: () => (operator.term === undefined ? [] : operator.caches.runs.all()),
    queue: () => operator.term?.queue ?? noQueue,
    watches: () => operator.caches.reflectors,
    refused: () => [...operator.caches.refused.keys()],
    events: () => operator.term?.events ?? noEvents,
    election: () => election?.state,
  }));
  const credentials = credentialsFrom(config);
  const election = config.lease === null ? null : makeElection(config.instance, config.lease, { credentials, metrics });
  const operator = makeOperator(config, { credentials, metrics, election });
  const server = await serveHttp({
    ...config.listen,
    metrics: () => registry.text(),
    healthy: () =>
      healthFaults({
        longestPassMs: operator.term?.queue.longestRunningMs ?? 0,
        electionTurnMs: election === null ? undefined : performance.now() - election.turnedAtMs,
      }),
    ready: () => readyFaults({ watches: operator.caches.needed, now: performance.now() }),
    notes: () => unservedNotes(operator.caches.refused),
  });
  log("info", "the operator has started", {
    address: config.listen.address,
    port: server.port,
    namespaces: config.watchNamespaces,
    lease: config.lease === null ? "none: this is the only operator" : `${config.lease.namespace}/${config.lease.name}`,
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
  const client = makeClient({ credentials, limit: new RequestLimit({ perSecond: 50, burst: 100, inFlight: 8 }) });
  try {
    log("info", "finalizers are taken off before an uninstall", { namespaces: config.watchNamespaces });
    log("info", "nothing is held any more", await release({ ...config, client, log }, { signal }));
  } finally {
    await credentials.close();
  }
}

type Parts = Readonly<{ credentials: Credentials; metrics: MetricsSink }>;

/** A client and a limit of its own: a renewal must not wait behind the work that it is for. */
function makeElection(instance: string, lease: NonNullable<Config["lease"]>, parts: Parts): LeaderElection {
  const { credentials, metrics } = parts;
  const limit = new RequestLimit({ perSecond: 5, burst: 5, inFlight: 4 });
  const election: LeaderElection = new LeaderElection({
    client: makeClient({ credentials, limit, observe: metrics.request }),
    lease,
    identity: uniqueIdentity(instance),
    timing: leaseTiming,
    now: () => performance.now(),
    random: Math.random,
    onChange: (state) => log("info", "the election is in another state", { state, holder: election.holder }),
    onError: sparingly((error, about) => log("warn", "the election met an error and goes on", { about, error })),
  });
  return election;
}

/** Says the same at most twice a minute: the election tries again every second, however long the server is away. */
function sparingly(say: (error: unknown, about: string) => void): (error: unknown, about: string) => void {
  let said = { words: "", at: Number.NEGATIVE_INFINITY };
  return (error, about) => {
    const now = { words: String(error), at: performance.now() };
    if (now.words === said.words && now.at - said.at < 30_000) return;
    said = now;
    say(error, about);
  };
}

function makeOperator(config: Config, parts: Parts & Readonly<{ election: LeaderElection | null }>): Operator {
  const { credentials, metrics, election } = parts;
  const { requestsPerSecond: perSecond, burst, inFlight } = config.api;
  const common = { credentials, limit: new RequestLimit({ perSecond, burst, inFlight }), observe: metrics.request };
  const clientFor = (mayWrite: () => void) => makeClient({ ...common, mayWrite });
  return new Operator({
    client: makeClient(common),
    ...(election === null ? {} : { leadership: { election, clientFor } }),
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
    onEventDropped: metrics.eventDropped,
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

function makeClient(parts: Pick<ApiClientOptions, "credentials" | "limit" | "observe" | "mayWrite">): ApiClient {
  return new ApiClient({
    ...parts,
    retry: { tries: 5, backoff: { firstMs: 200, maxMs: 10_000, random: Math.random }, longestRetryAfterMs: 30_000 },
    timeoutMs: 30_000,
    userAgent: "trainingrun-operator",
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
