import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { finishVerified } from "@trainingrun/checkpoint/finish.ts";
import { compactLog, renewOpen } from "@trainingrun/checkpoint/log/compact.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { emptyState, type RunState } from "@trainingrun/checkpoint/log/state.ts";
import { pointNames } from "@trainingrun/checkpoint/names.ts";
import { prune } from "@trainingrun/checkpoint/prune.ts";
import type { Store } from "@trainingrun/checkpoint/store/store.ts";
import { readMirrored } from "@trainingrun/checkpoint/tiers/mirror.ts";
import { holderOf } from "./holder.ts";
import { MirrorLogLostError, reopenLost } from "./lost-log.ts";
import type { AgentMetrics } from "./metrics.ts";
import type { Operation, Operations } from "./operations.ts";

/** A second tier as it is opened; one that does not fence lets two writers believe that they won a number. */
export type OpenedStore = Store & Readonly<{ fences?: boolean; close?(): void }>;

type Options = Readonly<{
  environment: AgentEnvironment;
  volume: Store;
  /** Opens the object store; `signal` ends all its requests. */
  open: (signal: AbortSignal) => Promise<OpenedStore>;
  operations: Operations;
  metrics: AgentMetrics;
}>;

const recordsBetweenCompactions = 100;

/**
 * The object store as one pod's mirror knows it: opened when it can be reached, and what is whole there. All that fails
 * is tried again by a later call, after a growing pause; until then the call answers null or false at once.
 */
export class MirrorStore {
  readonly #options: Options;
  readonly #removed = new Set<Digest>();
  #opened: Readonly<{ store: OpenedStore; stop: AbortController }> | null = null;
  #mirrored: Set<Digest> | null = null;
  #state: RunState = emptyState;
  #fences: boolean | undefined = undefined;
  #isLogLost = false;
  #isSwept = false;
  #tidiedAt: string | null = null;
  #compactedAt = 0;

  constructor(options: Options) {
    this.#options = options;
  }

  /** What the object store has whole and in its log; null until that was read. */
  get mirrored(): ReadonlySet<Digest> | null {
    return this.#mirrored;
  }

  /** What retention has removed from it: its log takes none of these again. */
  get removed(): ReadonlySet<Digest> {
    return this.#removed;
  }

  /** Whether `done` of this attempt stands in its log. */
  get done(): boolean {
    return this.#state.done?.attempt === this.#options.environment.TRAININGRUN_ATTEMPT;
  }

  /** Whether it keeps two writers from creating one key; undefined until it was asked. */
  get fences(): boolean | undefined {
    return this.#fences;
  }

  /** Whether it could not be reached, read or finished when that was last tried. */
  get isFailing(): boolean {
    const whole = ["open-store", "read-store", "done-store"] as const;
    return whole.some((operation) => this.#options.operations.isFailing(operation, "store"));
  }

  /** Opens the store and reads what it has, where that was not done yet. Says whether it can be worked with. */
  async reach(signal: AbortSignal): Promise<boolean> {
    if (this.#opened === null) {
      const stop = new AbortController();
      const both = AbortSignal.any([signal, stop.signal]);
      const store = await this.#try("open-store", () => this.#options.open(both));
      if (store === null) return false;
      this.#fences = store.fences !== false;
      this.#opened = { store, stop };
    }
    const { store } = this.#opened;
    this.#mirrored ??= await this.#try("read-store", () => readMirrored(store, { signal }));
    return this.#mirrored !== null;
  }

  /**
   * Runs work on the store if its log is this pod's, which is asked anew each time: what was cut off must not go on.
   * Returns null where that cannot be told, or the work's value; the words of who holds it where it is another's.
   */
  async holding<T>(
    signal: AbortSignal,
    work: (store: Store, signal: AbortSignal) => Promise<T>,
  ): Promise<Readonly<{ fencedBy: string }> | Readonly<{ value: T }> | null> {
    const opened = this.#opened;
    if (opened === null) return null;
    const holder = await this.#try("read-store", () => this.#readHolder(opened.store, signal));
    if (holder === null) return null;
    if (holder.kind === "other") return { fencedBy: holder.why };
    if (!this.#isSwept) {
      // What an earlier life of this agent, or an attempt that is cut off, had on its way when it died.
      const sweep = () => opened.store.removeTemporaries().then(() => true);
      const swept = await this.#try("prune-store", sweep, "uploads");
      this.#isSwept = swept ?? false;
    }
    return { value: await work(opened.store, AbortSignal.any([signal, opened.stop.signal])) };
  }

  /** A checkpoint was uploaded and stands in the log. */
  add(digest: Digest): void {
    this.#mirrored?.add(digest);
  }

  /** Breaks off whatever is on its way there; the store is opened anew when it is needed next. */
  interrupt(): void {
    this.#opened?.stop.abort();
    // What was sent of it cannot be taken back any more with the same requests.
    this.#isSwept = false;
    this.close();
  }

  close(): void {
    this.#opened?.store.close?.();
    this.#opened = null;
  }

  /** Appends `done`, for a final checkpoint that is there (I9). */
  async finish(store: Store, { manifest, signal }: { manifest: Digest; signal: AbortSignal }): Promise<void> {
    const { TRAININGRUN_ATTEMPT: attempt } = this.#options.environment;
    await this.#try("done-store", async () => {
      await finishVerified(store, { attempt, manifest, signal });
      this.#state = { ...this.#state, done: { attempt, manifest } };
    });
  }

  /** Whether retention has something to look at that it has not seen. */
  get isTidy(): boolean {
    return this.#tidiedAt === this.#basis || this.#options.operations.pausing("prune-store", "store");
  }

  /** Retention of the object store, under its own log. */
  async tidy(store: Store, signal: AbortSignal): Promise<void> {
    const { environment, metrics } = this.#options;
    const whole = [...(this.#mirrored ?? [])];
    // The byte budget is the volume's.
    const policy = { ...environment.TRAININGRUN_RETENTION, maxBytes: null };
    const pruned = await this.#try("prune-store", async () => {
      await pointNames(store, { state: this.#state, verified: new Set(whole), policy });
      return prune(store, {
        attempt: environment.TRAININGRUN_ATTEMPT,
        policy,
        verified: whole,
        recorded: environment.TRAININGRUN_EXPECTED.recorded.map(({ digest }) => digest),
        mirrored: whole,
        now: new Date().toISOString(),
        signal,
      });
    });
    if (pruned === null) return;
    this.#state = pruned.state;
    for (const { digest, bytes } of pruned.removed) {
      this.#mirrored?.delete(digest);
      this.#removed.add(digest);
      metrics.countPruned("ObjectStore", bytes);
    }
    // A plan that removed something may have left more for the next look.
    if (pruned.removed.length > 0) return;
    await this.#compact(store, signal);
    this.#tidiedAt = this.#basis;
  }

  async #compact(store: Store, signal: AbortSignal): Promise<void> {
    const { last } = this.#state;
    if (last - this.#compactedAt < recordsBetweenCompactions) return;
    const { TRAININGRUN_ATTEMPT: attempt, TRAININGRUN_POD_UID: podUid } = this.#options.environment;
    const removed = await this.#try("compact-store", async () => {
      await renewOpen(store, { attempt, podUid, signal });
      return compactLog(store, { signal });
    });
    if (removed === 0) this.#compactedAt = last;
  }

  async #readHolder(store: OpenedStore, signal: AbortSignal) {
    const { environment } = this.#options;
    const { state } = await readLog(store, { signal });
    this.#state = state;
    for (const { digest } of state.deleted) this.#removed.add(digest);
    const holder = holderOf(state, environment);
    if (holder.kind === "unknown") return this.#openAnew(store, signal);
    this.#isLogLost = false;
    return holder;
  }

  /** The log lost our `open`, and with it all that it knew: nothing counts as mirrored until it is in a log again. */
  async #openAnew(store: OpenedStore, signal: AbortSignal): Promise<{ kind: "own" }> {
    const { environment, volume } = this.#options;
    const isNews = !this.#isLogLost;
    this.#isLogLost = true;
    this.#mirrored = new Set();
    this.#tidiedAt = null;
    this.#compactedAt = 0;
    if (isNews) {
      // Looked at once more, by a client that remembers no record, before anything is written.
      this.close();
      throw new MirrorLogLostError(
        environment.TRAININGRUN_ATTEMPT,
        "it is looked for once more before anything is written",
      );
    }
    this.#state = await reopenLost({ environment, volume, store, state: this.#state, signal });
    this.#mirrored = await readMirrored(store, { signal });
    this.#isLogLost = false;
    console.log("The object store's log had lost this attempt's open, which stands there again");
    return { kind: "own" };
  }

  /** An operation on the store as a whole, or on all of one thing there: null where it fails, and until it may be tried again. */
  async #try<T>(operation: Operation, work: () => Promise<T>, subject = "store"): Promise<T | null> {
    const { operations } = this.#options;
    if (operations.pausing(operation, subject)) return null;
    return operations.attempt(operation, subject, work);
  }

  /** What retention looks at. */
  get #basis(): string {
    return `${this.#state.last} ${this.#mirrored?.size ?? 0}`;
  }
}
