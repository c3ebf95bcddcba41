import type { AttemptEntry, TrainingRunStatus } from "../api/status.ts";
import type { RequestObserver } from "../kubernetes/client.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import type { ElectionState } from "../kubernetes/leader-election.ts";
import type { Reflector } from "../kubernetes/reflector.ts";
import type { MetricsRegistry, Sample } from "./registry.ts";

/** What the metrics look at when they are asked for. */
export type MetricsView = Readonly<{
  /** Those that this process leads: another one shows them while it does not, and nobody adds them up twice. */
  runs: () => readonly KubeObject[];
  queue: () => Readonly<{ depth: number; running: number; longestRunningMs: number }>;
  watches: () => readonly Reflector<KubeObject>[];
  /** Namespaces that the API server does not let this process see. */
  refused: () => readonly string[];
  events: () => Readonly<{ backlog: number }>;
  /** Undefined where there is no election, and this process always leads. */
  election: () => ElectionState | undefined;
}>;

/** What is told to the metrics as it happens. */
export type MetricsSink = Readonly<{
  request: RequestObserver;
  pass: (result: "settled" | "held" | "again" | "error", seconds: number) => void;
  attemptEnded: (entry: AttemptEntry) => void;
  watchError: (about: string) => void;
  /** Something told, so many times, that no event will count. */
  eventDropped: (why: string, times: number) => void;
}>;

/** Defines every metric of the operator. Counts of a run live in its status, so they survive this process. */
export function operatorMetrics(registry: MetricsRegistry, view: () => MetricsView): MetricsSink {
  registry.addProcessMetrics();
  defineRunMetrics(registry, () => view().runs());
  defineLoopMetrics(registry, view);
  defineElectionMetrics(registry, () => view().election());
  registry.sampledGauge(
    { name: "trainingrun_events_waiting", help: "Things told that no event stands for yet." },
    () => [[{}, view().events().backlog]],
  );
  const requests = registry.counter({
    name: "rest_client_requests_total",
    help: "Requests to the API server, by the answer's status code; 0 where none came.",
    labels: ["method", "resource", "code"],
  });
  const requestSeconds = registry.histogram({
    name: "rest_client_request_duration_seconds",
    help: "Time from a request to the head of its answer.",
    labels: ["method"],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30],
  });
  const passes = registry.counter({
    name: "trainingrun_reconcile_total",
    help: "Passes over a run, by result.",
    labels: ["result"],
  });
  const passSeconds = registry.histogram({
    name: "trainingrun_reconcile_seconds",
    help: "Time of one pass: observe, decide, write.",
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30],
  });
  const ended = registry.counter({
    name: "trainingrun_attempts_ended_total",
    help: "Attempts whose end this process has recorded, by cause and by what it was charged to.",
    labels: ["cause", "charge"],
  });
  const watchErrors = registry.counter({
    name: "trainingrun_watch_errors_total",
    help: "Watch errors overcome.",
    labels: ["watch"],
  });
  const eventsDropped = registry.counter({
    name: "trainingrun_events_dropped_total",
    help: "Things told that no event counts, by why.",
    labels: ["why"],
  });
  return {
    request: ({ method, resource, code, seconds }) => {
      requests({ method, resource, code: String(code) });
      requestSeconds({ method }, seconds);
    },
    pass: (result, seconds) => {
      passes({ result });
      passSeconds({}, seconds);
    },
    attemptEnded: ({ cause, charge }) => ended({ cause: cause ?? "", charge: charge ?? "" }),
    watchError: (about) => watchErrors({ watch: about }),
    eventDropped: (why, times) => eventsDropped({ why }, times),
  };
}

function defineLoopMetrics(registry: MetricsRegistry, view: () => MetricsView): void {
  registry.sampledGauge({ name: "workqueue_depth", help: "Runs waiting for a pass." }, () => [
    [{}, view().queue().depth],
  ]);
  registry.sampledGauge({ name: "workqueue_running", help: "Passes under way." }, () => [[{}, view().queue().running]]);
  registry.sampledGauge(
    { name: "workqueue_longest_running_processor_seconds", help: "Age of the oldest pass under way." },
    () => [[{}, view().queue().longestRunningMs / 1000]],
  );
  registry.sampledGauge(
    {
      name: "trainingrun_namespace_refused",
      help: "1 for each watched namespace that the API server refuses to show; its runs are not served.",
      labels: ["namespace"],
    },
    () =>
      view()
        .refused()
        .map((namespace): Sample => [{ namespace }, 1]),
  );
  registry.sampledGauge(
    { name: "trainingrun_watch_state", help: "1 for the state each watch is in.", labels: ["watch", "state"] },
    () =>
      view()
        .watches()
        .map(({ about, state }): Sample => [{ watch: about, state }, 1]),
  );
  registry.sampledGauge(
    {
      name: "trainingrun_watch_silence_seconds",
      help: "Time since the server last said anything to the watch.",
      labels: ["watch"],
    },
    () =>
      view()
        .watches()
        .map(({ about, lastEventAt }): Sample => [{ watch: about }, (performance.now() - lastEventAt) / 1000]),
  );
  registry.sampledGauge(
    {
      name: "trainingrun_watch_blind_seconds",
      help: "For how long the copy that a watch keeps may have missed something; past 60 the process is not ready.",
      labels: ["watch"],
    },
    () =>
      view()
        .watches()
        .map(({ about, completeAt }): Sample => [{ watch: about }, (performance.now() - completeAt) / 1000]),
  );
}

function defineElectionMetrics(registry: MetricsRegistry, state: () => ElectionState | undefined): void {
  registry.sampledGauge(
    { name: "trainingrun_leader", help: "1 while this process leads, and 0 while another one does or may." },
    () => [[{}, (state() ?? "Leading") === "Leading" ? 1 : 0]],
  );
  registry.sampledGauge(
    { name: "trainingrun_election_state", help: "1 for the state the election is in.", labels: ["state"] },
    () => {
      const now = state();
      return now === undefined ? [] : [[{ state: now }, 1]];
    },
  );
}

/** More runs than this are counted together, but get no series of their own. */
const mostRunsWithSeries = 1_000;

type Known = Readonly<{ labels: Readonly<{ namespace: string; run: string }>; status: Partial<TrainingRunStatus> }>;

function defineRunMetrics(registry: MetricsRegistry, runs: () => readonly KubeObject[]): void {
  const known = (): readonly Known[] =>
    runs().map(({ metadata, status }) => ({
      labels: { namespace: metadata.namespace ?? "", run: metadata.name },
      status: (status ?? {}) as Partial<TrainingRunStatus>,
    }));
  const each = (read: (status: Partial<TrainingRunStatus>) => number | undefined) => (): Sample[] =>
    known()
      .slice(0, mostRunsWithSeries)
      .flatMap(({ labels, status }): Sample[] => {
        const value = read(status);
        return value === undefined || Number.isNaN(value) ? [] : [[labels, value]];
      });
  const labels = ["namespace", "run"];

  registry.sampledGauge({ name: "trainingrun_runs", help: "Runs, by state.", labels: ["state"] }, () => {
    const counts = new Map<string, number>();
    for (const { status } of known())
      counts.set(status.state ?? "Pending", (counts.get(status.state ?? "Pending") ?? 0) + 1);
    return [...counts].map(([state, count]): Sample => [{ state }, count]);
  });
  for (const [name, help, read] of runGauges) registry.sampledGauge({ name, help, labels }, each(read));
  for (const [name, help, read] of runCounters) registry.sampledCounter({ name, help, labels }, each(read));
}

type Read = (status: Partial<TrainingRunStatus>) => number | undefined;

const runGauges: readonly (readonly [name: string, help: string, read: Read])[] = [
  ["trainingrun_step", "The last step reported.", (status) => status.progress?.step],
  ["trainingrun_target_step", "The step at which the run is complete.", (status) => status.progress?.targetStep],
  ["trainingrun_verified_step", "The step of the newest verified checkpoint.", (status) => status.latestVerified?.step],
  ["trainingrun_checkpoints_verified", "Verified checkpoints on record.", (status) => status.checkpoints?.length],
  ["trainingrun_checkpoints_refused", "Refused checkpoints on record.", (status) => status.refused?.length],
  [
    "trainingrun_failures_left",
    "Failures the run survives before its next verified checkpoint.",
    (status) => status.retry?.failuresLeft,
  ],
  [
    "trainingrun_grace_needed_seconds",
    "What the grace period has to be for the final checkpoint, by the saves measured.",
    (status) => status.graceNeededSeconds,
  ],
  [
    "trainingrun_goodput",
    "Share of the wall time spent on steps that were kept.",
    (status) => status.totals && Number(status.totals.goodput),
  ],
];

const runCounters: readonly (readonly [name: string, help: string, read: Read])[] = [
  ["trainingrun_attempts_total", "Attempts begun.", (status) => status.attempt],
  ["trainingrun_disruptions_total", "Ends that the program did not cause.", (status) => status.totals?.disruptions],
  ["trainingrun_failures_total", "Ends charged to the program.", (status) => status.totals?.failures],
  ["trainingrun_stalls_total", "Attempts ended because no step advanced.", (status) => status.totals?.stalls],
  ["trainingrun_lost_steps_total", "Steps computed and then lost.", (status) => status.totals?.lostSteps],
];
