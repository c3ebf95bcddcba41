import type { Dispatcher } from "undici";
import type { AttemptEntry } from "../api/status.ts";
import type { Decision } from "../core/decision.ts";
import type { Observed } from "../core/observed.ts";
import type { ApiClient } from "../kubernetes/client.ts";
import { EventRecorder } from "../kubernetes/event-recorder.ts";
import { keyOf } from "../kubernetes/kube-object.ts";
import type { ReflectorTiming } from "../kubernetes/reflector.ts";
import { sleep } from "../kubernetes/sleep.ts";
import { WorkQueue } from "../kubernetes/work-queue.ts";
import { AgentClient } from "./agent-client.ts";
import { Caches } from "./caches.ts";
import { type ControllerOptions, runController } from "./controller.ts";
import { LateClaims } from "./late-claims.ts";
import type { Log } from "./log.ts";
import { OwnWrites } from "./own-writes.ts";
import { Probe } from "./probe.ts";
import { probedAgents } from "./probed-agents.ts";
import { Problems } from "./problems.ts";
import { reconcile } from "./reconcile.ts";
import { Refusals } from "./refusals.ts";
import { RunEvents } from "./run-events.ts";
import { SaveRequests } from "./save-requests.ts";
import { SyncGate } from "./sync-gate.ts";
import { wakeOnChanges } from "./wake.ts";

export type OperatorOptions = Readonly<{
  client: ApiClient;
  decide: (observed: Observed) => Decision;
  namespaces: readonly string[];
  watchNodes: boolean;
  workers: number;
  instance: string;
  probeIntervalMs: number;
  log: Log;
  onPass: ControllerOptions["onPass"];
  onAttemptEnded: (entry: AttemptEntry) => void;
  onWatchError: (error: unknown, about: string) => void;
  timing?: Partial<ReflectorTiming>;
  agentPort?: number;
  /** How agents are reached; by connections of the operator's own where absent. Closed with the operator. */
  agentDispatcher?: Dispatcher;
}>;

/** The controller with everything it works on; nothing runs before {@link run}. */
export class Operator {
  readonly caches: Caches;
  readonly queue: WorkQueue;
  readonly events: EventRecorder;
  readonly #options: OperatorOptions;
  readonly #agents: AgentClient;
  readonly #probe: Probe;
  readonly #refusals = new Refusals();
  readonly #runEvents = new RunEvents();
  readonly #problems: Problems;
  readonly #saves = new SaveRequests();
  readonly #gate: SyncGate;
  readonly #lateClaims = new LateClaims();

  constructor(options: OperatorOptions) {
    this.#options = options;
    const { client, namespaces, watchNodes, timing } = options;
    this.queue = new WorkQueue({ firstMs: 250, maxMs: 60_000, random: Math.random });
    this.caches = new Caches({
      client,
      namespaces,
      watchNodes,
      onError: options.onWatchError,
      ...(timing === undefined ? {} : { timing }),
    });
    this.#agents = new AgentClient({
      timeoutMs: 2_000,
      ...(options.agentPort === undefined ? {} : { port: options.agentPort }),
      ...(options.agentDispatcher === undefined ? {} : { dispatcher: options.agentDispatcher }),
    });
    this.events = new EventRecorder({
      client,
      reporter: { controller: "trainingrun.dev/operator", instance: options.instance },
      // What an event tells of a run that goes stands nowhere else, and a namespace that goes takes none.
      onDropped: ({ why, told: { regarding, reason, note } }, error) => {
        const run = `${regarding.namespace}/${regarding.name}`;
        options.log("warn", "an event could not be written", { run, why, reason, note, error });
      },
    });
    this.#problems = new Problems({ client, log: options.log, now: Date.now });
    this.#probe = this.#makeProbe();
    this.#gate = new SyncGate({ caches: this.caches, queue: this.queue, log: options.log });
    wakeOnChanges(this.caches, this.queue);
    this.#forgetWhatIsGone();
  }

  /**
   * Works until the signal is aborted, then lets the passes under way end, for a few seconds at most. Rejects
   * only where one of its loops broke, which is a defect.
   */
  async run(signal: AbortSignal): Promise<void> {
    const watching = new AbortController();
    const passes = new AbortController();
    const loops = Promise.all([
      this.caches.run(watching.signal),
      this.#gate.run(watching.signal),
      this.#decide(passes.signal),
      this.#probe.run(watching.signal),
      this.events.run(watching.signal),
    ]);
    try {
      await Promise.race([loops, aborted(signal)]);
      await Promise.race([this.queue.shutDown(), sleep(drainMs, passes.signal)]);
      await this.events.flush({ signal: AbortSignal.timeout(flushMs) });
    } finally {
      passes.abort(stopping());
      watching.abort(stopping());
      void this.queue.shutDown();
      await this.#agents.close();
      await loops.catch(() => undefined);
    }
  }

  async #decide(passes: AbortSignal): Promise<void> {
    const { client, decide, log, onAttemptEnded, onPass, workers } = this.#options;
    const reconciler = {
      sources: {
        caches: this.caches,
        client,
        report: (podUid: string) => this.#probe.report(podUid),
        askingSince: () => this.#probe.askingSince,
        refusals: this.#refusals,
        problems: this.#problems,
        now: Date.now,
      },
      gate: this.#gate,
      lateClaims: this.#lateClaims,
      ownWrites: new OwnWrites(this.caches),
      decide,
      recorder: this.events,
      runEvents: this.#runEvents,
      log,
      onAttemptEnded,
    };
    const pass = (key: string, limit: AbortSignal) =>
      reconcile(key, reconciler, { ...passPatience, signal: AbortSignal.any([passes, limit]) });
    await runController({ queue: this.queue, workers, reconcile: pass, passLimitMs, onPass });
  }

  #makeProbe(): Probe {
    return new Probe({
      targets: () => probedAgents(this.caches),
      ask: (target, signal) => this.#agents.state(target, signal),
      wake: (run) => this.queue.add(run),
      onAnswer: async (target, _, signal) => {
        const asked = { run: this.caches.runs.get(target.run), podUid: target.podUid, now: Date.now() };
        await this.#saves.pass(asked, () => this.#agents.requestSave(target, signal));
      },
      intervalMs: this.#options.probeIntervalMs,
      eagerMs: 500,
      progressEveryMs: 5_000,
      concurrency: 16,
    });
  }

  #forgetWhatIsGone(): void {
    this.caches.runs.listen(({ kind, object }) => {
      if (kind !== "Updated") this.#probe.targetsChanged();
      if (kind !== "Deleted") return;
      this.#lateClaims.runGone(object);
      this.#refusals.forget(object.metadata.uid);
      this.#runEvents.forget(object.metadata.uid);
      this.queue.forget(keyOf(object));
    });
    this.caches.pods.listen(({ kind, object }) => {
      this.#probe.targetsChanged();
      if (kind !== "Deleted") return;
      this.#probe.forget(object.metadata.uid);
      this.#saves.forget(object.metadata.uid);
      this.#problems.forget(object.metadata.uid);
    });
    this.caches.claims.listen(({ kind, object }) => {
      const run = this.#lateClaims.runOf(object);
      if (kind === "Added" && run !== undefined) this.queue.add(run);
      if (kind === "Deleted") this.#problems.forget(object.metadata.uid);
    });
  }
}

const drainMs = 8_000;
const flushMs = 2_000;
/** A pass is repeated as a whole, and meanwhile its worker serves others; it waits itself only where that is cheaper. */
const passPatience = { tries: 2, longestPauseMs: 1_000 } as const;
const passLimitMs = 120_000;

function stopping(): Error {
  return new Error("the operator is stopping");
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
