import { join } from "node:path";
import type { MirrorState } from "@trainingrun/checkpoint/contract/agent-state.ts";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import type { MirrorRate } from "@trainingrun/checkpoint/contract/mirror-rate.ts";
import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { FencedError } from "@trainingrun/checkpoint/log/append.ts";
import { find } from "@trainingrun/checkpoint/log/fold.ts";
import type { CheckpointRef, RunState } from "@trainingrun/checkpoint/log/state.ts";
import type { Store } from "@trainingrun/checkpoint/store/store.ts";
import { mirrorCheckpoint, SourceDamagedError } from "@trainingrun/checkpoint/tiers/mirror.ts";
import { type MirrorPlan, planMirror } from "@trainingrun/checkpoint/tiers/mirror-plan.ts";
import { writeAtomically } from "../control-directory.ts";
import type { Problem } from "./knowledge.ts";
import { Lag } from "./lag.ts";
import type { AgentMetrics } from "./metrics.ts";
import { MirrorStore, type OpenedStore } from "./mirror-store.ts";
import { Operations } from "./operations.ts";
import { Pace } from "./pace.ts";
import { UploadMeter } from "./upload-meter.ts";

/** What the keeper of the volume knows at this moment. */
export type MirrorSource = Readonly<{
  state: RunState;
  verified: ReadonlySet<Digest>;
  /** The final checkpoint of a finished run, once it is verified. */
  final: Digest | null;
  fenced: boolean;
}>;

type Options = Readonly<{
  environment: AgentEnvironment;
  volume: Store;
  /** Opens the object store anew; `signal` ends all its requests. */
  open: (signal: AbortSignal) => Promise<OpenedStore>;
  source: () => MirrorSource;
  metrics: AgentMetrics;
  /** Hears of a checkpoint whose copy on the volume matched once and does not any more. */
  onDamaged: (digest: Digest) => void;
  /** Hears that another pod holds the object store's log: this one is to write nothing any more. */
  onFenced: (why: string) => void;
  now?: () => number;
  /** How often to look where nobody wakes it. */
  lookMs?: number;
}>;

const usualLookMs = 1_000;
/** So long retention waits for the first reading of a store that does not even refuse. */
const firstReadingMs = 10_000;

/**
 * Fills the object store from the volume, one checkpoint at a time, beside all else that the agent does: nobody waits
 * for it, except for the end of the pod.
 *
 *     reach the store ─► whose is its log? ─► `done`, if due ─► prune there ─► upload what is most wanted ─► commit
 *            ▲                └ another's: stop for good                                                        │
 *            └──────────────────────────────────────────────────────────────────────────────────────────────────┘
 */
export class Mirror {
  readonly #options: Options;
  readonly #store: MirrorStore;
  readonly #operations: Operations;
  readonly #meter: UploadMeter;
  readonly #now: () => number;
  readonly #lookMs: number;
  readonly #pace: Pace;
  readonly #lag = new Lag();
  readonly #beganAt: number;
  #lagMs = 0;
  #turn: "Newest" | "Waiting" = "Newest";
  /** When the pod's time is over; null while that is not known. */
  #endsAt: number | null = null;
  /** Whether what is on its way was let through since then: the speed that said so may fall meanwhile. */
  #isSpared = false;
  #retryAt = Number.NEGATIVE_INFINITY;
  #fenced = false;

  constructor(options: Options) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#beganAt = this.#now();
    this.#lookMs = options.lookMs ?? usualLookMs;
    this.#pace = new Pace([], { pollMs: this.#lookMs });
    this.#meter = new UploadMeter(this.#now);
    this.#operations = new Operations((operation, reason) => {
      options.metrics.countError(operation);
      options.metrics.countMirrorFailure(reason);
    }, this.#now);
    this.#store = new MirrorStore({ ...options, operations: this.#operations });
  }

  /** Mirrors until the signal, or until another pod holds the log; `changed` is called when it has got on. */
  async run(signal: AbortSignal, { changed }: { changed: () => void }): Promise<void> {
    try {
      while (!signal.aborted && !this.#isFenced) {
        if (await this.#work(signal)) changed();
        else await this.#pace.next(signal);
      }
    } catch (error) {
      if (!(error instanceof FencedError)) throw error;
      this.#fence(error.message);
    } finally {
      this.#pace[Symbol.dispose]();
      this.#store.close();
    }
  }

  /** Says that the source has something new. */
  wake(): void {
    // From now on it is lacking, whoever asks for how long, and whether the store can be reached or not.
    this.#plan();
    if (this.#mustGiveWay() || this.#isFenced) this.#store.interrupt();
    this.#pace.wake();
  }

  /** Says that the pod is ending: the newest goes first from now on, and what nobody will bring there later is tried again at once. */
  hurry({ leftMs }: { leftMs: number }): void {
    const now = this.#now();
    this.#endsAt = now + leftMs;
    if (this.#isLastChance && now >= this.#retryAt) {
      this.#retryAt = now + this.#lookMs;
      this.#operations.retryNow();
    }
    this.wake();
  }

  /** What the object store has whole and in its log; null until that was read. */
  get mirrored(): ReadonlySet<Digest> | null {
    return this.#store.mirrored;
  }

  /** What was on record as being there when the pod began, which is all there is to go by until the store was read. */
  get recorded(): ReadonlySet<Digest> {
    const { recorded } = this.#options.environment.TRAININGRUN_EXPECTED;
    return new Set(recorded.flatMap(({ digest, tiers }) => (tiers?.includes("ObjectStore") ? [digest] : [])));
  }

  /** Whether the store keeps two pods from creating one key; undefined until it was asked. */
  get fences(): boolean | undefined {
    return this.#store.fences;
  }

  /** What retention may count on: nothing in a store that is away; null for the moment in which it is only not read yet. */
  get proven(): ReadonlySet<Digest> | null {
    const isAway = this.#store.isFailing || this.#now() - this.#beganAt >= firstReadingMs;
    return this.mirrored ?? (isAway ? new Set() : null);
  }

  /** Whether `done` stands in the object store's log. */
  get done(): boolean {
    return this.#store.done;
  }

  /** Whether there is nothing left that is worth the pod's last seconds. */
  get settled(): boolean {
    if (this.#isFenced) return true;
    const plan = this.#plan();
    if (this.#isLastChance) {
      const isDoneDue = this.#options.source().final !== null && !this.done;
      return this.#store.mirrored !== null && plan.missing.length === 0 && !isDoneDue;
    }
    // A durable volume has it all: the next attempt does not wait for a store that is away, nor for a second try.
    return this.#store.isFailing || (this.#store.mirrored !== null && plan.next.length === 0);
  }

  /** What the operator is told, at this moment. */
  get state(): MirrorState {
    const { latest, lagSteps, lagBytes } = this.#plan();
    return {
      latestStep: latest?.step ?? null,
      lagSteps,
      lagBytes,
      lagSeconds: this.#lagMs / 1000,
      uploading: this.#meter.uploading,
      bytesPerSecond: this.#meter.bytesPerSecond,
      problem: this.#problem(),
    };
  }

  /** One piece of work; false where there is none at present. */
  async #work(signal: AbortSignal): Promise<boolean> {
    const { state, final } = this.#options.source();
    this.#operations.forget((subject) => subject.includes(":") && find(state, subject) === undefined);
    if (!(await this.#store.reach(signal))) return false;
    const [next] = this.#plan().next;
    const isDoneDue = final !== null && !this.done && this.mirrored?.has(final) === true;
    // The next attempt's agent removes what may go: these seconds are for what must be there.
    const isTidy = this.#endsAt !== null || this.#store.isTidy;
    const isDonePausing = this.#operations.pausing("done-store", "store");
    if (next === undefined && isTidy && (!isDoneDue || isDonePausing)) return false;
    const held = await this.#store.holding(signal, async (store, workSignal) => {
      if (isDoneDue && !isDonePausing) await this.#store.finish(store, { manifest: final, signal: workSignal });
      else if (!isTidy) await this.#store.tidy(store, workSignal);
      else if (next !== undefined) await this.#upload(next, { store, signal: workSignal });
    });
    if (held !== null && "fencedBy" in held) this.#fence(`in the object store ${held.fencedBy}`);
    return held !== null;
  }

  async #upload(ref: CheckpointRef, { store, signal }: { store: Store; signal: AbortSignal }): Promise<void> {
    const { environment, volume, metrics } = this.#options;
    const started = this.#now();
    // One that gives way, or fails, has had its turn as well.
    this.#turn = this.#plan().missing.every(({ step }) => step <= ref.step) ? "Waiting" : "Newest";
    this.#meter.begin(ref);
    this.#isSpared = false;
    let sent = 0;
    const onBytes = (bytes: number) => {
      sent += bytes;
      this.#meter.add(bytes);
      metrics.countUploaded(bytes);
    };
    const tiers = { from: volume, to: store, attempt: environment.TRAININGRUN_ATTEMPT };
    try {
      const uploaded = await this.#operations.attempt("mirror", ref.digest, async () => {
        await mirrorCheckpoint(tiers, ref, { signal, onBytes }).catch((error: unknown) => this.#doubt(ref, error));
        return true;
      });
      if (uploaded === null) return;
    } finally {
      this.#meter.end();
    }
    this.#store.add(ref.digest);
    const seconds = (this.#now() - started) / 1000;
    metrics.countMirrored(seconds);
    if (sent > 0 && seconds > 0) await leaveRate(environment, sent / seconds);
    console.log(`Mirrored step ${ref.step} of attempt ${ref.attempt}, ${ref.bytes} bytes in ${seconds.toFixed(3)} s`);
  }

  /** A copy that does not match any more is looked at again by the keeper, which refuses it. */
  #doubt({ digest }: CheckpointRef, error: unknown): never {
    if (error instanceof SourceDamagedError) this.#options.onDamaged(digest);
    throw error;
  }

  #plan(): MirrorPlan {
    const { state: volume, verified } = this.#options.source();
    const { TRAININGRUN_ATTEMPT: attempt, TRAININGRUN_RETENTION: policy } = this.#options.environment;
    const pausing = new Set([...verified].filter((digest) => this.#operations.pausing("mirror", digest)));
    const mirrored = this.mirrored ?? new Set();
    const { removed } = this.#store;
    const turn = this.#isEnding ? "Newest" : this.#turn;
    const plan = planMirror({ attempt, volume, policy, verified, mirrored, removed, pausing, turn });
    const ahead = plan.ahead.map(({ step }) => step);
    this.#lagMs = this.#lag.at({ ahead, latestStep: plan.latest?.step ?? null, now: this.#now() });
    return plan;
  }

  /**
   * Whether an older checkpoint is on its way while the last one waits, and nothing newer will come. What is nearly there
   * does not make way for one that would not get there in what is left of the pod's time.
   */
  #mustGiveWay(): boolean {
    const [next] = this.#isEnding ? this.#plan().next : [];
    const { uploading: current, bytesPerSecond } = this.#meter;
    if (current === null || next === undefined || next.step <= current.step) return false;
    const { TRAININGRUN_GRACE_SECONDS: graceSeconds } = this.#options.environment;
    const leftSeconds = this.#endsAt === null ? graceSeconds : (this.#endsAt - this.#now()) / 1000;
    const fits = (bytes: number) => bytesPerSecond === 0 || bytes <= bytesPerSecond * leftSeconds;
    if (fits(next.bytes) || (!this.#isSpared && !fits(current.totalBytes - current.bytes))) return true;
    this.#isSpared = this.#endsAt !== null;
    return false;
  }

  #problem(): Problem | null {
    const [problem] = this.#operations.problems;
    if (problem !== undefined) return { ...problem, message: problem.message.slice(0, 512) };
    return this.#store.fences === false ? { reason: "ConditionsUnsupported", message: withoutConditions } : null;
  }

  get #isEnding(): boolean {
    return this.#endsAt !== null || this.#options.source().final !== null;
  }

  get #isFenced(): boolean {
    return this.#fenced || this.#options.source().fenced;
  }

  /**
   * Whether no later attempt mirrors what must be there: its volume ends with the pod, or the run with the attempt, whose
   * final checkpoint is all that is waited for then.
   */
  get #isLastChance(): boolean {
    const { environment, source } = this.#options;
    return environment.TRAININGRUN_VOLUME === "Ephemeral" || (source().final !== null && !this.done);
  }

  #fence(why: string): void {
    this.#fenced = true;
    this.#options.onFenced(why);
  }
}

/** Tells the trainer how fast that was. Without it, or with an older one, its last upload may not fit; nothing else needs it. */
async function leaveRate({ TRAININGRUN_CONTROL: control }: AgentEnvironment, bytesPerSecond: number): Promise<void> {
  const rate = { version: 1, bytesPerSecond } satisfies MirrorRate;
  await writeAtomically(join(control, controlFiles.mirrorRate), JSON.stringify(rate)).catch((error: unknown) => {
    console.error(`The trainer is not told how fast the object store is: ${String(error)}`);
  });
}

const withoutConditions =
  "The object store does not honour If-None-Match: a pod that was cut off cannot be fenced there. Use a store that does";
