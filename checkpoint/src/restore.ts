import { adopt } from "./adopt.ts";
import { candidates } from "./candidates.ts";
import type { RefusedSummary } from "./contract/checkpoint-summary.ts";
import type { Expected } from "./contract/pod-environment.ts";
import type { Restored } from "./contract/restored.ts";
import type { RestoreFailure } from "./contract/termination.ts";
import { parseDirectoryName } from "./directory-name.ts";
import { HashUnavailableError } from "./hash.ts";
import { appendRecord, appendRecordAfter } from "./log/append.ts";
import { compactLog } from "./log/compact.ts";
import { find } from "./log/fold.ts";
import { readLog } from "./log/read.ts";
import { type LogRecord, type NumberedRecord, UnknownRecordVersionError } from "./log/record.ts";
import { secureRecord } from "./log/secure.ts";
import type { CheckpointRef, Opened, RunState } from "./log/state.ts";
import { UnknownFormatError } from "./manifest.ts";
import { StorageUnavailableError, type Store } from "./store/store.ts";
import { sweep } from "./sweep.ts";
import { type Verdict, verifyCheckpoint } from "./verify.ts";

/** Who restores, and what the operator knows. */
export type RestoreRequest = Readonly<{
  runUid: string;
  attempt: number;
  podUid: string;
  node: string;
  generation: number;
  expected: Expected;
  signal?: AbortSignal;
}>;

/** `warnings` are for the log: what was skipped, left over or could not be swept; none of it endangers the resume. */
export type RestoreOutcome =
  | Readonly<{ kind: "restored"; restored: Restored; warnings: readonly string[] }>
  | Readonly<{
      kind: "failed";
      failure: RestoreFailure;
      message: string;
      refused: RefusedSummary[];
      warnings: readonly string[];
    }>;

const maxRounds = 20;

/**
 * Chooses where an attempt starts and opens the attempt there:
 *
 *     fold ─► adopt ─► verify candidates, newest first ─► refuse what failed ─► open ─► sweep
 *       ▲                                                                        │
 *       └──────────────── the log moved meanwhile: choose again ◄────────────────┘
 *
 * Before `open` nothing has changed but refusals and adoptions, which are true whoever says them: it may be killed at any
 * instant and repeated. Throws only when aborted, or for a defect of this program.
 */
export async function restoreRun(store: Store, request: RestoreRequest): Promise<RestoreOutcome> {
  const restore = new Restore(store, request);
  try {
    for (let round = 0; round < maxRounds; round += 1) {
      const outcome = await restore.round();
      if (outcome !== "moved") return outcome;
    }
    return restore.failed("StorageUnavailable", `the log of run ${store.runUid} moved ${maxRounds} times`);
  } catch (error) {
    if (error instanceof StorageUnavailableError) return restore.failed("StorageUnavailable", error.message);
    if (isIncompatible(error)) return restore.failed("Incompatible", error.message);
    throw error;
  }
}

function isIncompatible(error: unknown): error is Error {
  return (
    error instanceof UnknownFormatError ||
    error instanceof UnknownRecordVersionError ||
    error instanceof HashUnavailableError
  );
}

function describeUnread(entry: NumberedRecord, refusal: string): string {
  return `${refusal}, and record ${entry.number} of the log is unreadable: ${"damaged" in entry ? entry.damaged : ""}`;
}

type Failure = Readonly<{ ref: CheckpointRef; reason: string; message: string }>;
type Choice = Readonly<{ chosen: CheckpointRef | null; failures: readonly Failure[]; nodeSuspect: boolean }>;

/** One restore: what it has verified outlives the rounds, so that no checkpoint is read twice. */
class Restore {
  readonly #store: Store;
  readonly #request: RestoreRequest;
  readonly #started = performance.now();
  readonly #verdicts = new Map<string, Verdict>();
  readonly #warnings = new Set<string>();
  #failures: readonly Failure[] = [];

  constructor(store: Store, request: RestoreRequest) {
    this.#store = store;
    this.#request = request;
  }

  async round(): Promise<RestoreOutcome | "moved"> {
    const { attempt, podUid } = this.#request;
    const { state: before, records } = await readLog(this.#store, this.#options());
    const { opened, fence } = before;
    this.#warnOfDamage(before);
    if (fence !== null && fence.attempt > attempt) return this.#fenced(`attempt ${fence.attempt} is open`);
    if (fence?.attempt === attempt && opened?.attempt !== attempt) {
      return this.#fenced(`record ${fence.number} of the log, the open of this attempt, is damaged`);
    }
    if (opened?.attempt === attempt) {
      if (opened.podUid !== podUid) return this.#fenced(`pod ${opened.podUid} has opened this attempt`);
      // Our own open, and the trainer has built on it: this process was restarted, and nothing is to be chosen.
      if (before.checkpoints.some((ref) => ref.attempt === attempt)) return this.#repeated(before, opened);
    }
    const adopted = await this.#adopt(before);
    if (adopted.kind === "fenced") return this.#fenced(adopted.fence.message);
    const choice = await this.#choose(adopted.state);
    this.#failures = choice.failures;
    if (choice.nodeSuspect) return this.#nodeSuspect();
    const refusal = choice.chosen === null ? await this.#whyNotFromZero(adopted.state) : null;
    const unread = records.find((entry) => "unreadable" in entry);
    if (refusal !== null && unread !== undefined) return this.failed("LogUnreadable", describeUnread(unread, refusal));
    if (refusal !== null) return this.failed("NoVerifiedCheckpoint", refusal);
    return this.#open(adopted.state, choice);
  }

  failed(failure: RestoreFailure, because: string): RestoreOutcome {
    const message = `Cannot restore attempt ${this.#request.attempt} because ${because}`.slice(0, 1024);
    return { kind: "failed", failure, message, refused: this.#refused(), warnings: [...this.#warnings] };
  }

  /** Hands the base over again, from bytes matched again (I2). A base that is lost by now is for another attempt to replace. */
  async #repeated(state: RunState, { base }: Opened): Promise<RestoreOutcome> {
    const ref = base === null ? undefined : find(state, base);
    const verdict = ref === undefined ? null : await this.#verify(ref);
    if (ref !== undefined && verdict?.ok === false) {
      this.#failures = [{ ref, reason: verdict.reason, message: verdict.message }];
      return this.#fenced(`it has commits already and its base does not verify any more: ${verdict.message}`);
    }
    await this.#secureOpen();
    return this.#restored(state);
  }

  /** An earlier life of this pod may have left its open in sight and not on the disk (I1). */
  async #secureOpen(): Promise<void> {
    const { attempt } = this.#request;
    const isOwn = (record: LogRecord) => record.kind === "open" && record.attempt === attempt;
    await secureRecord(this.#store, isOwn, this.#options());
  }

  #warnOfDamage({ damaged }: RunState): void {
    if (damaged.length === 0) return;
    const numbers = damaged.slice(0, 10).join(", ");
    this.#warnings.add(`Records of the log are missing or damaged, and count for nothing: ${numbers}`);
  }

  async #adopt(state: RunState) {
    // An attempt's own directories are its trainer's to commit: it may be between rename and append right now.
    if (state.opened?.attempt === this.#request.attempt) return { kind: "adopted", state } as const;
    const verify = (directory: string) => this.#verify({ directory, digest: null });
    const adoption = await adopt(this.#store, state, { verify, ...this.#options() });
    if (adoption.kind === "adopted") for (const warning of adoption.warnings) this.#warnings.add(warning);
    return adoption;
  }

  async #choose(state: RunState): Promise<Choice> {
    const failures: Failure[] = [];
    for (const ref of this.#candidates(state)) {
      const verdict = await this.#verify(ref);
      if (verdict.ok) return { chosen: ref, failures, nodeSuspect: false };
      failures.push({ ref, reason: verdict.reason, message: verdict.message });
      // What is not there at all is missing from every node; anything else a bad node may only seem to see.
      if (failures.filter(({ reason }) => reason !== "Missing").length === 2) {
        return { chosen: null, failures, nodeSuspect: true };
      }
    }
    return { chosen: null, failures, nodeSuspect: false };
  }

  #candidates(state: RunState): CheckpointRef[] {
    const { expected } = this.#request;
    const all = candidates(state, expected);
    if (expected.unhealthy === "Accept" || expected.base !== null) return all;
    for (const ref of all) {
      if (ref.unhealthy) this.#warnings.add(`Skipped step ${ref.step}: it has new non-finite tensors`);
    }
    return all.filter((ref) => !ref.unhealthy);
  }

  async #verify(ref: { directory: string; digest: string | null }): Promise<Verdict> {
    const known = this.#verdicts.get(ref.directory);
    if (known !== undefined && (!known.ok || ref.digest === null || known.manifest.digest === ref.digest)) return known;
    const verdict = await verifyCheckpoint(this.#store, ref, this.#options());
    this.#verdicts.set(ref.directory, verdict);
    return verdict;
  }

  /** Why step 0 would lose something without being asked to (I10), or null where the run may begin there. */
  async #whyNotFromZero(state: RunState): Promise<string | null> {
    const { expected } = this.#request;
    if (expected.base !== null) {
      return `the chosen base ${expected.base.digest ?? `step ${expected.base.step}`} is not there or does not verify`;
    }
    if (expected.noneVerified === "StartOver") return null;
    const recorded = expected.latestVerified ?? expected.recorded[0];
    if (state.checkpoints.length > 0) {
      return `none of ${state.checkpoints.length} checkpoints in the log can be resumed from: ${this.#reasons()}`;
    }
    if (recorded !== undefined)
      return `step ${recorded.step} (${recorded.digest}) is on record and not in this storage`;
    if (state.damaged.length > 0) return `records ${state.damaged.slice(0, 10).join(", ")} of the log are damaged`;
    // An opened log knows all that was ever committed; one that is empty beside checkpoints was lost.
    if (state.opened !== null) return null;
    const found = (await this.#store.names()).find((name) => parseDirectoryName(name) !== null);
    return found === undefined ? null : `${found} exists and the log does not know it`;
  }

  async #open(state: RunState, { chosen, failures }: Choice): Promise<RestoreOutcome | "moved"> {
    const { attempt, podUid, node, generation } = this.#request;
    let now = state;
    for (const { ref, reason, message } of failures) {
      const draft = { kind: "refuse", attempt, manifest: ref.digest, reason, message, node } as const;
      const outcome = await appendRecord(this.#store, draft, this.#options());
      if (outcome.kind === "fenced") return this.#fenced(outcome.message);
      now = outcome.state;
    }
    const base = chosen?.digest ?? null;
    // Something newer may have been committed while the refusals were written.
    if ((this.#candidates(now)[0]?.digest ?? null) !== base) return "moved";
    if (now.opened?.attempt === attempt && now.opened.base === base) {
      await this.#secureOpen();
      return this.#opened(now);
    }
    const outcome = await appendRecordAfter(
      this.#store,
      { kind: "open", attempt, podUid, node, base, generation },
      { after: now.last, ...this.#options() },
    );
    if (outcome.kind === "fenced") return this.#fenced(outcome.message);
    return outcome.kind === "appended" ? this.#opened(outcome.state) : "moved";
  }

  async #opened(state: RunState): Promise<RestoreOutcome> {
    try {
      await sweep(this.#store, state);
      await compactLog(this.#store, this.#options());
    } catch (error) {
      if (!(error instanceof StorageUnavailableError)) throw error;
      this.#warnings.add(`Leftovers stay until the next restore: ${error.message}`);
    }
    return this.#restored(state);
  }

  #restored(state: RunState): RestoreOutcome {
    const { runUid, attempt, podUid } = this.#request;
    const base = state.opened?.base ?? null;
    const ref = base === null ? undefined : find(state, base);
    const verified = [...this.#verdicts.values()].flatMap((verdict) => (verdict.ok ? verdict.bytes : []));
    const restored: Restored = {
      version: 1,
      run: runUid,
      attempt,
      podUid,
      resume: ref === undefined ? null : this.#resume(ref),
      refused: this.#refused(),
      verifiedBytes: verified.reduce((sum, bytes) => sum + bytes, 0),
      seconds: (performance.now() - this.#started) / 1000,
      time: new Date().toISOString(),
    };
    return { kind: "restored", restored, warnings: [...this.#warnings] };
  }

  #resume({ step, attempt, digest, directory }: CheckpointRef): Restored["resume"] {
    return { step, attempt, digest, tier: this.#store.tier, directory: this.#store.checkpoint(directory).location };
  }

  #refused(): RefusedSummary[] {
    const { node } = this.#request;
    const time = new Date().toISOString();
    return this.#failures.slice(0, 16).map(({ ref, reason, message }) => {
      return { step: ref.step, attempt: ref.attempt, digest: ref.digest, reason, message, node, time };
    });
  }

  #fenced(because: string): RestoreOutcome {
    return this.failed("Fenced", because);
  }

  #nodeSuspect(): RestoreOutcome {
    return this.failed("NodeSuspect", `two checkpoints failed on node ${this.#request.node}: ${this.#reasons()}`);
  }

  #reasons(): string {
    return this.#failures.map(({ ref, reason }) => `step ${ref.step} ${reason}`).join(", ") || "none is a candidate";
  }

  #options(): { signal?: AbortSignal } {
    return this.#request.signal === undefined ? {} : { signal: this.#request.signal };
  }
}
