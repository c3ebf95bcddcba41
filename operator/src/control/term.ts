import type { AttemptEntry } from "../api/status.ts";
import type { Decision } from "../core/decision.ts";
import type { Observed } from "../core/observed.ts";
import type { ApiClient } from "../kubernetes/client.ts";
import type { DropReason } from "../kubernetes/event-book.ts";
import { EventRecorder } from "../kubernetes/event-recorder.ts";
import { type KubeObject, keyOf } from "../kubernetes/kube-object.ts";
import { aborted, sleep } from "../kubernetes/sleep.ts";
import { NotLeadingError, type Term } from "../kubernetes/term.ts";
import { WorkQueue } from "../kubernetes/work-queue.ts";
import type { AgentClient } from "./agent-client.ts";
import type { Caches } from "./caches.ts";
import { type ControllerOptions, runController } from "./controller.ts";
import { GangServices } from "./gang-services.ts";
import { HeldStatuses } from "./held-statuses.ts";
import { DroppedFields } from "./kept-fields.ts";
import type { LateClaims } from "./late-claims.ts";
import type { Log } from "./log.ts";
import { OwnWrites } from "./own-writes.ts";
import { Probe } from "./probe.ts";
import { probedAgents } from "./probed-agents.ts";
import { Problems } from "./problems.ts";
import { type Reconciler, reconcile } from "./reconcile.ts";
import { Refusals } from "./refusals.ts";
import { RunEvents } from "./run-events.ts";
import { SaveRequests } from "./save-requests.ts";
import { SyncGate } from "./sync-gate.ts";
import { makesRoom, wakeAll, wakeOnChanges } from "./wake.ts";

/** How a term works, and who is told of it. */
export type TermOptions = Readonly<{
  decide: (observed: Observed) => Decision;
  workers: number;
  instance: string;
  probeIntervalMs: number;
  log: Log;
  onPass: ControllerOptions["onPass"];
  onAttemptEnded: (entry: AttemptEntry) => void;
  /** Told of what will not stand in an event, and how often it was told. */
  onEventDropped?: (why: DropReason, times: number) => void;
}>;

/**
 * What outlives a term, and the term itself. `client` asks the term before it sends a write; `now` is the API server's
 * clock, as it was heard of before the term.
 */
export type TermParts = Readonly<{
  caches: Caches;
  agents: AgentClient;
  client: ApiClient;
  term: Term;
  /** Heard of every run that went, also while another operator led. */
  lateClaims: LateClaims;
  now: () => number;
  /** How long passes under way, and events not written yet, are waited for at the end. */
  patience: Readonly<{ drainMs: number; flushMs: number }>;
}>;

/**
 * The work of one time of leading: all that remembers what was seen, decided and written in it. It is made for the term
 * and dropped with it, so that nothing that another operator has overtaken since is taken for the present.
 */
export class RunningTerm {
  readonly queue = new WorkQueue({ firstMs: 250, maxMs: 60_000, random: Math.random });
  readonly events: EventRecorder;
  readonly #options: TermOptions;
  readonly #parts: TermParts;
  readonly #probe: Probe;
  readonly #refusals = new Refusals();
  readonly #runEvents = new RunEvents();
  readonly #held = new HeldStatuses();
  readonly #dropped = new DroppedFields();
  readonly #problems: Problems;
  readonly #gangServices = new GangServices();
  readonly #saves = new SaveRequests();
  readonly #gate: SyncGate;

  constructor(options: TermOptions, parts: TermParts) {
    this.#options = options;
    this.#parts = parts;
    const { caches, client } = parts;
    this.events = this.#makeRecorder();
    this.#problems = new Problems({ client, log: options.log });
    this.#probe = this.#makeProbe();
    this.#gate = new SyncGate({ caches, queue: this.queue, log: options.log });
  }

  /**
   * Works until the term is asked to end, then lets the passes under way end, for a moment at most. Nothing of it goes on
   * once it has resolved. Rejects only where one of its loops broke, which is a defect.
   */
  async run(): Promise<void> {
    const { caches, term, lateClaims, patience } = this.#parts;
    const over = new AbortController();
    const ended = AbortSignal.any([term.signal, over.signal]);
    const stopListening = this.#listen();
    // Listeners hear of changes alone.
    wakeAll(caches, this.queue);
    for (const run of lateClaims.waiting(caches.claims)) this.queue.add(run);
    const loops = Promise.all([
      this.#gate.run(term.leaving),
      this.#decide(ended),
      this.#probe.run(term.leaving),
      this.events.run(ended),
    ]);
    try {
      await Promise.race([loops, aborted(term.leaving)]);
      await Promise.race([this.queue.shutDown(), sleep(patience.drainMs, term.signal).catch(() => undefined)]);
      await this.events.flush({ signal: AbortSignal.any([term.signal, AbortSignal.timeout(patience.flushMs)]) });
    } finally {
      over.abort(new Error(`term ${term.number} is over`));
      void this.queue.shutDown();
      await loops.catch(() => undefined);
      stopListening();
    }
  }

  async #decide(ended: AbortSignal): Promise<void> {
    const { workers, log, onPass } = this.#options;
    const reconciler = this.#reconciler();
    await runController({
      queue: this.queue,
      workers,
      reconcile: (key, limit) =>
        reconcile(key, reconciler, { ...passPatience, signal: AbortSignal.any([ended, limit]) }),
      passLimitMs,
      onPass: (run, pass) => {
        // Whoever leads next decides again from what stands.
        const isCutOff = pass.error !== undefined && (ended.aborted || pass.error instanceof NotLeadingError);
        if (isCutOff) log("info", "a pass was cut off with its term", { run, error: pass.error });
        else onPass(run, pass);
      },
    });
  }

  #reconciler(): Reconciler {
    const { decide, log, onAttemptEnded } = this.#options;
    const { caches, client, now } = this.#parts;
    return {
      sources: {
        caches,
        client,
        report: (podUid) => this.#probe.report(podUid),
        askingSince: () => this.#probe.askingSince,
        refusals: this.#refusals,
        problems: this.#problems,
        gangServices: this.#gangServices,
        now,
      },
      gate: this.#gate,
      lateClaims: this.#parts.lateClaims,
      ownWrites: new OwnWrites(caches),
      held: this.#held,
      dropped: this.#dropped,
      decide,
      recorder: this.events,
      runEvents: this.#runEvents,
      log,
      onAttemptEnded,
    };
  }

  #makeRecorder(): EventRecorder {
    const { instance, log, onEventDropped } = this.#options;
    return new EventRecorder({
      client: this.#parts.client,
      reporter: { controller: "trainingrun.dev/operator", instance },
      // What an event tells of a run that goes stands nowhere else, and a namespace that goes takes none.
      onDropped: ({ why, times, told: { regarding, reason, note } }, error) => {
        const run = `${regarding.namespace}/${regarding.name}`;
        log("warn", "an event could not be written", { run, why, reason, note, error });
        onEventDropped?.(why, times);
      },
    });
  }

  #makeProbe(): Probe {
    const { caches, agents, term, now } = this.#parts;
    return new Probe({
      targets: () => probedAgents(caches),
      ask: (target, signal) => agents.state(target, signal),
      wake: (run, urgency) => this.queue.add(run, urgency),
      onAnswer: async (target, { worker }, signal) => {
        const asked = { run: caches.runs.get(target.run), podUid: target.podUid, worker, now: now() };
        await this.#saves.pass(asked, async () => {
          term.assertHeld();
          await agents.requestSave(target, signal);
        });
      },
      intervalMs: this.#options.probeIntervalMs,
      eagerMs: 500,
      progressEveryMs: 5_000,
      concurrency: 16,
      now,
    });
  }

  /** Queues what changes and forgets what is gone, until what is returned is called. */
  #listen(): () => void {
    const { caches, lateClaims } = this.#parts;
    const ends = [
      wakeOnChanges(caches, this.queue),
      caches.runs.listen(({ kind, object }) => {
        if (kind !== "Updated") this.#probe.targetsChanged();
        if (kind !== "Deleted") return;
        this.#refusals.forget(object.metadata.uid);
        this.#gangServices.forget(object.metadata.uid);
        this.#runEvents.forget(object.metadata.uid);
        this.#held.forget(object.metadata.uid);
        this.queue.forget(keyOf(object));
      }),
      caches.pods.listen((change) => {
        const { kind, object } = change;
        this.#probe.targetsChanged();
        if (makesRoom(change)) this.#roomAfter(object);
        if (kind !== "Deleted") return;
        this.#probe.forget(object.metadata.uid);
        this.#saves.forget(object.metadata.uid);
        this.#problems.forget(object.metadata.uid);
      }),
      caches.claims.listen((change) => {
        const { kind, object } = change;
        if (makesRoom(change)) this.#roomAfter(object);
        const run = lateClaims.runOf(object);
        if (kind === "Added" && run !== undefined) this.queue.add(run);
        if (kind === "Deleted") this.#problems.forget(object.metadata.uid);
      }),
    ];
    return () => {
      for (const end of ends) end();
    };
  }

  /** What a quota refuses is tried again soon: something that it may have counted went. */
  #roomAfter({ metadata: { namespace = "" } }: KubeObject): void {
    for (const key of this.#refusals.roomIn(namespace, this.#parts.now())) this.queue.add(key, "Patient");
  }
}

/** A pass is repeated as a whole, and meanwhile its worker serves others; it waits itself only where that is cheaper. */
const passPatience = { tries: 2, longestPauseMs: 1_000 } as const;
const passLimitMs = 120_000;
