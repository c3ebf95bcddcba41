import { adopt, type Unadopted } from "./adopt.ts";
import { type Choice, chooseBase, type Failure, isBuiltOn, isNamed, isRefusable, newestBeside } from "./choose-base.ts";
import type { RefusedSummary } from "./contract/checkpoint-summary.ts";
import type { Tier } from "./contract/digest.ts";
import type { Expected, ForkSource } from "./contract/pod-environment.ts";
import type { Restored } from "./contract/restored.ts";
import type { RestoreFailure } from "./contract/termination.ts";
import { copyFork, forkToTake } from "./fork.ts";
import { isIncompatible } from "./incompatible.ts";
import { visibleWithinMs } from "./into-sight.ts";
import { appendRecord, appendRecordAfter } from "./log/append.ts";
import { compactLog } from "./log/compact.ts";
import { find } from "./log/fold.ts";
import { readLog } from "./log/read.ts";
import type { LogRecord, NumberedRecord } from "./log/record.ts";
import { secureRecord } from "./log/secure.ts";
import { type CheckpointRef, emptyState, type Imported, type Opened, type RunState } from "./log/state.ts";
import { tombstonesBefore } from "./log/tombstones.ts";
import { logOf, whyNotFromZero } from "./restore-from-zero.ts";
import { StorageUnavailableError, type Store } from "./store/store.ts";
import { sweep } from "./sweep.ts";
import { importedFor, mergeStates } from "./tiers/merged-state.ts";
import { VerifiedCopies } from "./tiers/verified-copies.ts";

/** Who restores, and what the operator knows. */
export type RestoreRequest = Readonly<{
  runUid: string;
  attempt: number;
  podUid: string;
  node: string;
  generation: number;
  expected: Expected;
  /** The run's second tier, where it has one: it must be readable, and helps where the volume has lost something. */
  objectStore?: Store | null;
  /** Opens the tiers of the run that `expected` names as a source, to be read alone: asked only while that is to be taken. */
  openSource?: (source: ForkSource) => Promise<readonly Store[]>;
  /** Asked before a log is written to: why this attempt must not begin with that checkpoint, or null where it may. */
  mayTake?: (checkpoint: NonNullable<Restored["resume"]>) => Promise<string | null>;
  /** How long after it has begun the volume may take to show what its log names; a minute where absent. */
  visibleWithinMs?: number;
  signal?: AbortSignal;
}>;

/** `warnings` are for the log: what was skipped, left over or could not be swept; none of it endangers the resume. */
export type RestoreOutcome =
  | Readonly<{ kind: "restored"; restored: Restored; warnings: readonly string[] }>
  | Readonly<{
      kind: "failed";
      failure: RestoreFailure;
      /** Why a tier is unavailable, as a stable word, where that is known. */
      problem?: string;
      /** The higher attempt that has opened a log, where that is why. */
      fencedBy?: number;
      message: string;
      refused: RefusedSummary[];
      warnings: readonly string[];
    }>;

const maxRounds = 20;

/**
 * Chooses where an attempt starts and opens the attempt there, in every tier's log:
 *
 *     fold ─► adopt ─► verify candidates, newest first ─► refuse what failed ─► open ─► sweep
 *       ▲                                                                        │
 *       └──────────────── the log moved meanwhile: choose again ◄────────────────┘
 *
 * Before `open` nothing has changed but refusals and adoptions, which are true whoever says them: it may be killed at any
 * instant and repeated. Throws only when aborted, or for a defect of this program.
 */
export async function restoreRun(volume: Store, request: RestoreRequest): Promise<RestoreOutcome> {
  const restore = new Restore(volume, request);
  try {
    for (let round = 0; round < maxRounds; round += 1) {
      const outcome = await restore.round();
      if (outcome !== "moved") return outcome;
    }
    return restore.failed("StorageUnavailable", `the log of run ${volume.runUid} moved ${maxRounds} times`);
  } catch (error) {
    // A tier whose requests end with this process is not away.
    request.signal?.throwIfAborted();
    if (error instanceof StorageUnavailableError) {
      return restore.failed("StorageUnavailable", error.message, error.problem);
    }
    if (isIncompatible(error)) return restore.failed("Incompatible", error.message);
    throw error;
  }
}

function describeUnread(entry: NumberedRecord, refusal: string): string {
  return `${refusal}, and record ${entry.number} of the log is unreadable: ${"damaged" in entry ? entry.damaged : ""}`;
}

/** One tier as it is now. */
type View = { readonly store: Store; state: RunState; readonly records: readonly NumberedRecord[] };

/** One restore: what it has verified outlives the rounds, so that no checkpoint is read twice. */
class Restore {
  readonly #volume: Store;
  readonly #objectStore: Store | null;
  readonly #request: RestoreRequest;
  readonly #started = performance.now();
  readonly #warnings = new Set<string>();
  readonly #copies: VerifiedCopies;
  /** What the tombstones of each log named before this attempt's `open`, which carries none; absent where that stood already. */
  readonly #deleted = new Map<Store, RunState["deleted"]>();
  #failures: readonly Failure[] = [];
  #unadopted: readonly Unadopted[] = [];
  /** Where the copy of another run's checkpoint came from. */
  #forkedFrom: Tier | null = null;

  constructor(volume: Store, request: RestoreRequest) {
    this.#volume = volume;
    this.#objectStore = request.objectStore ?? null;
    this.#request = request;
    const warn = (message: string) => void this.#warnings.add(message);
    this.#copies = new VerifiedCopies({ volume, objectStore: this.#objectStore, warn, ...this.#options() });
  }

  async round(): Promise<RestoreOutcome | "moved"> {
    const views = await this.#readTiers();
    for (const view of views) {
      const fence = this.#fenceIn(view);
      if (fence !== null) return this.#fenced(fence, views);
    }
    const { attempt, expected } = this.#request;
    const before = merged(views);
    // Our own open, and the trainer has built on it: this process was restarted, and nothing is to be chosen.
    if (before.opened?.attempt === attempt && isBuiltOn(before, before.opened)) {
      return this.#repeated(views, before.opened);
    }
    const adoption = await this.#adopt(views);
    if (adoption !== null) return this.#fenced(adoption);
    const fork = forkToTake(merged(views), expected);
    if (fork !== null) return this.#openFork(views, fork);
    const choice = await this.#choose(views);
    this.#failures = choice.failures;
    if (choice.nodeSuspect) return this.#nodeSuspect();
    const known = { state: merged(views), expected, failed: this.#reasons() };
    const refusal = choice.chosen === null ? await whyNotFromZero(views, known) : null;
    const unread = views.flatMap(({ records }) => records).find((entry) => "unreadable" in entry);
    if (refusal !== null && unread !== undefined) return this.failed("LogUnreadable", describeUnread(unread, refusal));
    if (refusal !== null) return this.failed("NoVerifiedCheckpoint", refusal);
    return this.#open(views, choice);
  }

  failed(failure: RestoreFailure, because: string, problem: string | null = null): RestoreOutcome {
    return this.#ended(failure, `Cannot restore attempt ${this.#request.attempt} because ${because}`, problem);
  }

  #ended(failure: RestoreFailure, words: string, problem: string | null = null): RestoreOutcome {
    const named = problem === null ? {} : { problem };
    const message = words.slice(0, 1024);
    return { kind: "failed", failure, ...named, message, refused: this.#refused(), warnings: [...this.#warnings] };
  }

  /** All tiers, or an error: one that cannot be read is not an empty one. The volume first. */
  async #readTiers(): Promise<[View, ...View[]]> {
    const views: View[] = [];
    for (const store of this.#stores) {
      const { state, records } = await readLog(store, this.#options());
      this.#warnOfDamage(store, state);
      if (state.opened?.attempt !== this.#request.attempt) this.#deleted.set(store, state.deleted);
      views.push({ store, state, records });
    }
    const [volume, ...others] = views;
    if (volume === undefined) throw new Error("Cannot restore without a volume");
    return [volume, ...others];
  }

  /** Why this pod may not open that log, or null where it may. */
  #fenceIn({ state: { opened, fence } }: View): string | null {
    const { attempt, podUid } = this.#request;
    if (fence !== null && fence.attempt > attempt) return `attempt ${fence.attempt} is open`;
    if (fence?.attempt === attempt && opened?.attempt !== attempt) {
      return `record ${fence.number} of the log, the open of this attempt, is damaged`;
    }
    if (opened?.attempt !== attempt || opened.podUid === podUid) return null;
    return `pod ${opened.podUid} has opened this attempt`;
  }

  /** Hands the base over again, from bytes matched again (I2). A base that is lost by now is for another attempt to replace. */
  async #repeated(views: readonly View[], { base }: Opened): Promise<RestoreOutcome> {
    const ref = base === null ? undefined : find(merged(views), base);
    const verdict = ref === undefined ? null : await this.#copies.verify(ref);
    if (ref !== undefined && verdict?.ok === false) {
      this.#failures = [{ ref, reason: verdict.reason, message: verdict.message }];
      return this.#fenced(`it has commits already and its base does not verify any more: ${verdict.message}`);
    }
    for (const { store } of views) await this.#secureOpen(store);
    return this.#restored(ref);
  }

  /** An earlier life of this pod may have left its open in sight and not on the disk (I1). */
  async #secureOpen(store: Store): Promise<void> {
    const { attempt } = this.#request;
    const isOwn = (record: LogRecord) => record.kind === "open" && record.attempt === attempt;
    await secureRecord(store, isOwn, this.#options());
  }

  #warnOfDamage({ tier }: Store, { damaged }: RunState): void {
    if (damaged.length === 0) return;
    const numbers = damaged.slice(0, 10).join(", ");
    this.#warnings.add(`Records of the ${logOf[tier]} are missing or damaged, and count for nothing: ${numbers}`);
  }

  /** Takes in what the last attempt left on the volume without a record. Says who fenced it, or null. */
  async #adopt([volume]: readonly [View, ...View[]]): Promise<string | null> {
    // An attempt's own directories are its trainer's to commit: it may be between rename and append right now.
    if (volume.state.opened?.attempt === this.#request.attempt) return null;
    const verify = (directory: string) => this.#copies.look({ directory, digest: null });
    const adoption = await adopt(this.#volume, volume.state, { verify, ...this.#options() });
    if (adoption.kind === "fenced") return adoption.fence.message;
    for (const warning of adoption.warnings) this.#warnings.add(warning);
    this.#unadopted = adoption.unadopted;
    volume.state = adoption.state;
    return null;
  }

  #choose(views: readonly [View, ...View[]]): Promise<Choice> {
    const [{ state: volume }] = views;
    const { visibleWithinMs: patienceMs = visibleWithinMs } = this.#request;
    return chooseBase(merged(views), {
      ...{ volume, copies: this.#copies, unadopted: this.#unadopted.length, visibleBy: this.#started + patienceMs },
      ...this.#choosing(),
      ...this.#options(),
    });
  }

  #choosing() {
    return { expected: this.#request.expected, warn: (message: string) => void this.#warnings.add(message) };
  }

  /** Another run's checkpoint, copied here and verified: the lineage begins with it. */
  async #openFork(views: readonly View[], source: ForkSource): Promise<RestoreOutcome | "moved"> {
    const { attempt, openSource } = this.#request;
    const stores = (await openSource?.(source)) ?? [];
    const forked = await copyFork(this.#volume, { source, stores, attempt, ...this.#options() });
    if (forked.kind === "missing") return this.failed("NoVerifiedCheckpoint", forked.message);
    this.#forkedFrom = forked.tier;
    const imported = { checkpoint: forked.ref, attempts: [] };
    return this.#open(views, { chosen: forked.ref, failures: [], nodeSuspect: false, imported });
  }

  async #open(views: readonly View[], { chosen, failures, imported }: Choice): Promise<RestoreOutcome | "moved"> {
    // An attempt that cannot begin must leave the history as it is: an `open` would make a rollback of the choice.
    const refusal = chosen === null ? null : ((await this.#request.mayTake?.(this.#resume(chosen))) ?? null);
    if (refusal !== null) return this.#ended("Incompatible", refusal);
    for (const view of views) {
      const fence = await this.#refuse(view, failures);
      if (fence !== null) return this.#fenced(fence);
    }
    const base = chosen?.digest ?? null;
    const now = merged(views);
    // Something newer may have been committed while the refusals were written.
    const newest = imported === undefined ? newestBeside(failures, now, this.#choosing()) : chosen;
    if ((newest?.digest ?? null) !== base) return "moved";
    const named = imported !== undefined || (chosen !== null && isNamed(chosen, this.#request.expected));
    const carried = { imported: imported ?? importedFor(now, base).imported, chosen: named };
    // The volume first: should this process die in between, the next one finds its own open there and goes on.
    for (const view of views) {
      const outcome = await this.#openTier(view, { base, ...carried });
      if (outcome !== "opened") return outcome;
    }
    await this.#tidy(views);
    return this.#restored(chosen ?? undefined);
  }

  /** Refuses, in that tier's log, what it knows and no copy of which verified. Says who fenced it, or null. */
  async #refuse(view: View, failures: readonly Failure[]): Promise<string | null> {
    const { attempt, node } = this.#request;
    for (const { ref, reason, message } of failures.filter(isRefusable)) {
      if (find(view.state, ref.digest) === undefined) continue;
      const draft = { kind: "refuse", attempt, manifest: ref.digest, reason, message, node } as const;
      const outcome = await appendRecord(view.store, draft, this.#options());
      if (outcome.kind === "fenced") return outcome.message;
      view.state = outcome.state;
    }
    return null;
  }

  async #openTier(
    view: View,
    { base, imported, chosen }: { base: string | null; imported: Imported | undefined; chosen: boolean },
  ): Promise<RestoreOutcome | "moved" | "opened"> {
    const { attempt, podUid, node, generation } = this.#request;
    const { opened, last } = view.state;
    if (opened?.attempt === attempt && opened.base === base) {
      await this.#secureOpen(view.store);
      return "opened";
    }
    const carried = { ...(imported === undefined ? {} : { imported }), chosen };
    const draft = { kind: "open", attempt, podUid, node, base, generation, ...carried } as const;
    const outcome = await appendRecordAfter(view.store, draft, { after: last, ...this.#options() });
    if (outcome.kind === "fenced") return this.#fenced(outcome.message);
    if (outcome.kind !== "appended") return "moved";
    view.state = outcome.state;
    return "opened";
  }

  async #tidy(views: readonly View[]): Promise<void> {
    for (const { store, state } of views) {
      const { recorded } = this.#request.expected;
      const matched = new Set(store === this.#volume ? this.#wholeIn(state) : []);
      const spared = store === this.#volume ? this.#spared() : [];
      await this.#tidying(async () => {
        const deleted = this.#deleted.get(store) ?? (await tombstonesBefore(store, state, this.#options()));
        return (await sweep(store, state, { recorded, deleted, matched, spared })).warning;
      });
      // It may have work to do although the sweep had none that it could.
      await this.#tidying(async () => void (await compactLog(store, this.#options())));
    }
  }

  /** Directories of the log's checkpoints whose every byte on the volume matches. */
  #wholeIn({ checkpoints }: RunState): string[] {
    return checkpoints.filter((ref) => this.#copies.isWhole(ref)).map(({ directory }) => directory);
  }

  /**
   * What did not verify on this node alone and has no record that could refuse it stays for the sweep of another attempt,
   * which may run elsewhere. Whoever finds its own open does not know any more what that was.
   */
  #spared(): readonly string[] | "Complete" {
    return this.#deleted.has(this.#volume) ? this.#unadopted.map(({ directory }) => directory) : "Complete";
  }

  async #tidying(tidy: () => Promise<StorageUnavailableError | null | undefined>): Promise<void> {
    const left = await tidy().catch((error: unknown) => {
      if (error instanceof StorageUnavailableError) return error;
      throw error;
    });
    if (left) this.#warnings.add(`Leftovers stay until the next restore: ${left.message}`);
  }

  #restored(ref: CheckpointRef | undefined): RestoreOutcome {
    const { runUid, attempt, podUid } = this.#request;
    const restored: Restored = {
      version: 1,
      run: runUid,
      attempt,
      podUid,
      resume: ref === undefined ? null : this.#resume(ref),
      refused: this.#refused(),
      verifiedBytes: this.#copies.bytes,
      seconds: (performance.now() - this.#started) / 1000,
      time: new Date().toISOString(),
    };
    return { kind: "restored", restored, warnings: [...this.#warnings] };
  }

  #resume({ step, attempt, digest, directory }: CheckpointRef): NonNullable<Restored["resume"]> {
    const { location } = this.#volume.checkpoint(directory);
    return { step, attempt, digest, tier: this.#forkedFrom ?? this.#copies.tierOf(directory), directory: location };
  }

  #refused(): RefusedSummary[] {
    const { node } = this.#request;
    const time = new Date().toISOString();
    return this.#failures.slice(0, 16).map(({ ref, reason, message }) => {
      return { step: ref.step, attempt: ref.attempt, digest: ref.digest, reason, message, node, time };
    });
  }

  #fenced(because: string, views: readonly View[] = []): RestoreOutcome {
    const outcome = this.failed("Fenced", because);
    const highest = Math.max(0, ...views.map(({ state }) => state.fence?.attempt ?? 0));
    return outcome.kind === "failed" && highest > this.#request.attempt ? { ...outcome, fencedBy: highest } : outcome;
  }

  #nodeSuspect(): RestoreOutcome {
    const unadopted = this.#unadopted.map(({ directory, reason }) => `, ${directory} ${reason}`).join("");
    const failed = `${this.#reasons()}${unadopted}`;
    return this.failed("NodeSuspect", `two checkpoints failed on node ${this.#request.node}: ${failed}`);
  }

  #reasons(): string {
    return this.#failures.map(({ ref, reason }) => `step ${ref.step} ${reason}`).join(", ");
  }

  get #stores(): Store[] {
    return this.#objectStore === null ? [this.#volume] : [this.#volume, this.#objectStore];
  }

  #options(): { signal?: AbortSignal } {
    return this.#request.signal === undefined ? {} : { signal: this.#request.signal };
  }
}

function merged(views: readonly View[]): RunState {
  const [volume, objectStore] = views;
  return mergeStates(volume?.state ?? emptyState, objectStore?.state ?? null);
}
