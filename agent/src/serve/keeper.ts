import { join } from "node:path";
import { lineage } from "@trainingrun/checkpoint/candidates.ts";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import type { Restored } from "@trainingrun/checkpoint/contract/restored.ts";
import { TrainerRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { finishVerified } from "@trainingrun/checkpoint/finish.ts";
import { appendRecord, FencedError } from "@trainingrun/checkpoint/log/append.ts";
import { compactLog, renewOpen } from "@trainingrun/checkpoint/log/compact.ts";
import { find, isRefused } from "@trainingrun/checkpoint/log/fold.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import type { RecordDraft } from "@trainingrun/checkpoint/log/record.ts";
import { type CheckpointRef, emptyState, type RunState } from "@trainingrun/checkpoint/log/state.ts";
import type { RetentionPlan } from "@trainingrun/checkpoint/retention.ts";
import { commitShards, pendingShards } from "@trainingrun/checkpoint/shards/commit-shards.ts";
import type { Store } from "@trainingrun/checkpoint/store/store.ts";
import type { Verdict } from "@trainingrun/checkpoint/verify.ts";
import { readControlFile } from "../control-directory.ts";
import { holderOf } from "./holder.ts";
import { type Deed, nextDeed, suspected, type View } from "./keeper-deed.ts";
import type { OpenMirror } from "./keeper-mending.ts";
import { unmatchedProblems } from "./keeper-problems.ts";
import { pruneVolume } from "./keeper-retention.ts";
import type { Unmatched } from "./keeper-unmatched.ts";
import { CheckpointJudge } from "./keeper-verdict.ts";
import type { Problem, VolumeFindings } from "./knowledge.ts";
import type { AgentMetrics } from "./metrics.ts";
import type { MirrorSource } from "./mirror.ts";
import { Operations } from "./operations.ts";
import type { VerifiedDigests } from "./verified-digests.ts";

type Options = Readonly<{
  environment: AgentEnvironment;
  store: Store;
  restored: Restored;
  /** What this process and the agents before it have matched. */
  verified: VerifiedDigests;
  /** Null for a run without an object store. */
  openMirror: OpenMirror | null;
  metrics: AgentMetrics;
}>;

/** What the trainer says when it is done. */
type Final = Extract<TrainerRecord, { kind: "done" }>;

/** A bound on one look; what is left over is done at the next. */
const maxDeedsPerLook = 100;
/** Evidence grows old and others write to the volume without a word in the log: retention looks again so often. */
const pruneAgainMs = 60_000;

/** One look: `leisure` ends what can wait in it, and `learned` is called whenever the knowledge has changed. */
type Look = Readonly<{ signal: AbortSignal; leisure?: AbortSignal; learned(): Promise<void> }>;

/**
 * Keeps one attempt's checkpoints: reads each commit back in this process, mends or refuses what does not match, appends
 * `done` for the final checkpoint and prunes by policy, until a higher attempt opens the log. From then on it writes
 * nothing. What is mended and what is refused, and when, `nextDeed` says.
 *
 *     log ─► newest unverified commit ─► every byte matches ─► verified ─► `done`, if it is the final one ─► prune
 *      ▲                                └ does not, twice ─► an entry: mend, read again, or refuse            │
 *      └──────────────────────────────────────────────────────────────────────────────────────────────────────┘
 */
export class Keeper {
  readonly #environment: AgentEnvironment;
  readonly #store: Store;
  readonly #restored: Restored;
  readonly #metrics: AgentMetrics;
  readonly #operations: Operations;
  readonly #verified: VerifiedDigests;
  readonly #judge: CheckpointJudge;
  #state: RunState = emptyState;
  #final: Final | null = null;
  #plan: RetentionPlan | null = null;
  /** What made retention go before the mirror; null while nothing does. */
  #beforeMirror: Problem | null = null;
  #prunedOn: string | null = null;
  #compactedOn: number | null = null;
  #fenced = false;

  constructor({ environment, store, restored, verified, openMirror, metrics }: Options) {
    this.#environment = environment;
    this.#store = store;
    this.#restored = restored;
    this.#metrics = metrics;
    this.#verified = verified;
    this.#judge = new CheckpointJudge({ environment, store, openMirror });
    this.#operations = new Operations((operation) => metrics.countError(operation));
  }

  /**
   * One look at the volume and all the work that it shows, newest first. A failure ends the look and not the agent; the
   * next look goes on.
   */
  async look({ signal, leisure = signal, learned }: Look): Promise<void> {
    try {
      for (let done = 0; done < maxDeedsPerLook; done += 1) {
        if (!(await this.#refresh(signal))) return;
        await this.#recordDone(signal);
        await learned();
        const deed = nextDeed(this.#view);
        if (deed === null || (leisure.aborted && this.#canWait(deed))) break;
        await this.#do(deed, { signal, leisure });
        await this.#verified.keep(this.#state);
      }
    } catch (error) {
      this.#endIfFenced(error);
    }
  }

  /**
   * Commits what the workers of a gang have saved, each step once all of it is there; says whether some of a step is still
   * to come. It may be asked while a look is at work.
   */
  async gather(signal: AbortSignal): Promise<boolean> {
    if (this.#fenced || this.#operations.pausing("gather", "shards")) return false;
    const [store, attempt] = [this.#store, this.#environment.TRAININGRUN_ATTEMPT];
    try {
      const pending = await this.#operations.attempt("gather", "shards", async () => {
        const { state } = await readLog(store, { signal });
        return state.opened?.attempt === attempt ? await pendingShards(store, state) : [];
      });
      if (pending === null) return false;
      const subjects = new Set(pending.map((step) => `step ${step}`));
      this.#operations.forget((subject) => subject.startsWith("step ") && !subjects.has(subject));
      let isPartial = false;
      for (const step of pending) isPartial = !(await this.#commitShards(step, signal)) || isPartial;
      return isPartial;
    } catch (error) {
      this.#endIfFenced(error);
      return false;
    }
  }

  /** Removes what retention lets go of, when log or verdicts have changed since it last did, and once a minute. */
  async prune(signal: AbortSignal, mirrored: ReadonlySet<Digest> | null): Promise<void> {
    const minute = Math.floor(Date.now() / pruneAgainMs);
    const basisOf = (last: number) => `${last} ${this.#verified.now.size} ${mirrored?.size} ${minute}`;
    if (this.#fenced || this.#state.opened === null || this.#prunedOn === basisOf(this.#state.last)) return;
    if (this.#operations.pausing("prune", "volume")) return;
    try {
      const [store, environment, verified] = [this.#store, this.#environment, this.#verified.now];
      const request = { store, environment, verified, mirrored, beforeMirror: this.#beforeMirror, signal };
      const pruned = await this.#operations.attempt("prune", "volume", () => pruneVolume(request));
      if (pruned === null) return;
      for (const { step, attempt, bytes } of pruned.removed) {
        this.#metrics.countPruned("Volume", bytes);
        console.log(`Pruned step ${step} of attempt ${attempt}`);
      }
      if (pruned.warning !== null) console.warn(`What was pruned has not all gone: ${pruned.warning.message}`);
      this.#state = pruned.state;
      this.#plan = pruned.plan;
      this.#beforeMirror = pruned.beforeMirror;
      // A plan that removed something may have left more for the next look.
      this.#prunedOn = pruned.removed.length === 0 ? basisOf(pruned.state.last) : null;
    } catch (error) {
      this.#endIfFenced(error);
    }
  }

  /** Keeps the log short, so that the next reader need not read all that a long attempt has said. */
  async compact(signal: AbortSignal): Promise<void> {
    if (this.#fenced || this.#compactedOn === this.#state.last || this.#operations.pausing("compact", "log")) return;
    const { TRAININGRUN_ATTEMPT: attempt, TRAININGRUN_POD_UID: podUid } = this.#environment;
    try {
      const removed = await this.#operations.attempt("compact", "log", async () => {
        await renewOpen(this.#store, { attempt, podUid, signal });
        return compactLog(this.#store, { signal });
      });
      // One call removes a bounded part: there may be more.
      if (removed === 0) this.#compactedOn = this.#state.last;
    } catch (error) {
      this.#endIfFenced(error);
    }
  }

  /** Everything known of the volume now, as a value. */
  get findings(): VolumeFindings {
    return {
      attempt: this.#environment.TRAININGRUN_ATTEMPT,
      policy: this.#environment.TRAININGRUN_RETENTION,
      fenced: this.#fenced,
      state: this.#state,
      verified: this.#verified.now,
      suspected: suspected(this.#view, this.#environment.TRAININGRUN_NODE),
      plan: this.#plan,
      beforeMirror: this.#beforeMirror,
      restored: this.#restored,
      problems: [...unmatchedProblems(this.#view, this.#environment.TRAININGRUN_NODE), ...this.#operations.problems],
    };
  }

  /** What a mirror goes by. */
  get source(): MirrorSource {
    const manifest = this.#final?.checkpoint;
    const isFinal = manifest !== undefined && this.#finalIsDue() && this.#verified.now.has(manifest);
    return {
      state: this.#state,
      verified: this.#verified.now,
      final: isFinal ? manifest : null,
      fenced: this.#fenced,
    };
  }

  /** Takes a verdict back: the copy on the volume was found to be another than it was, and is to be read again. */
  doubt(digest: Digest): void {
    this.#verified.doubt(digest);
  }

  /** Whether another pod holds the log, so that nothing is to be done here any more. */
  get isFenced(): boolean {
    return this.#fenced;
  }

  /** Writes nothing any more, for good. */
  fence(why: string): void {
    if (this.#fenced) return;
    this.#fenced = true;
    console.error(`The agent is fenced and writes nothing any more: ${why}`);
  }

  /** Whether nothing is left to verify, and `done` stands in the log if the trainer is done. */
  get settled(): boolean {
    if (this.#fenced) return true;
    if (this.#operations.isFailing("read-log", "log")) return false;
    // What only another tier, another node or a later time can tell more of is the next attempt's.
    if (this.#view.open.some(({ digest }) => !this.#isFound(digest))) return false;
    return !this.#finalIsDue() || this.#state.done !== null;
  }

  /** Reads log and control directory; false where there is nothing more to do in this look. */
  async #refresh(signal: AbortSignal): Promise<boolean> {
    if (this.#fenced || signal.aborted) return false;
    const log = await this.#operations.attempt("read-log", "log", () => readLog(this.#store, { signal }));
    if (log === null) return false;
    this.#state = log.state;
    const isGone = (digest: Digest) => find(log.state, digest) === undefined;
    this.#operations.forget((subject) => subject.includes(":") && isGone(subject));
    this.#judge.follow(log.state);
    const { TRAININGRUN_ATTEMPT: attempt } = this.#environment;
    const holder = holderOf(log.state, this.#environment);
    if (holder.kind === "other") {
      this.fence(holder.why);
      return false;
    }
    // Our own open is damaged. Whatever we append counts for nothing while it is; the device may read it in the end.
    if (holder.kind === "unknown" && log.state.fence?.attempt === attempt) return false;
    this.#final = (await this.#readFinal()) ?? this.#final;
    return true;
  }

  /** What the trainer has left of this attempt's final checkpoint. */
  async #readFinal(): Promise<Final | null> {
    const { TRAININGRUN_ATTEMPT: attempt, TRAININGRUN_CONTROL: control } = this.#environment;
    const done = await readControlFile(join(control, controlFiles.done), TrainerRecord);
    return done?.kind === "done" && done.attempt === attempt ? done : null;
  }

  /** What is decided on. A verdict that could not be written into the log waits as well: it would mean to read all bytes again. */
  get #view(): View {
    const { TRAININGRUN_ATTEMPT: own, TRAININGRUN_EXPECTED: expected } = this.#environment;
    const isNamed = (digest: Digest) => expected.recorded.some((one) => one.digest === digest);
    // A suspect of a crash, which the operator names as well, is on record as whole.
    const isConfirmed = (digest: Digest) => expected.refused.includes(digest) && !isNamed(digest);
    const open = lineage(this.#state).filter(
      ({ digest }) => !this.#verified.now.has(digest) && !isRefused(this.#state, digest),
    );
    const here = this.#state.refused.filter(({ attempt, digest }) => attempt === own && !isConfirmed(digest));
    return {
      ...{ entries: this.#judge.entries, open, refusedHere: here.length, isConfirmed, nowMs: performance.now() },
      isPausing: (digest) => this.#operations.pausing("verify", digest) || this.#operations.pausing("refuse", digest),
    };
  }

  /** Whether it is the next attempt's as well: to read once more, or to mend, what was found not to match. */
  #canWait(deed: Deed): boolean {
    return deed.kind === "Mend" || (deed.kind === "Read" && this.#isFound(deed.ref.digest));
  }

  async #do(deed: Deed, { signal, leisure }: Required<Omit<Look, "learned">>): Promise<void> {
    switch (deed.kind) {
      case "Read":
        return this.#verify(deed.ref, () => this.#judge.read(deed.ref, signal));
      case "Mend": {
        const isWanted = () => this.#hasNews(signal);
        return this.#verify(deed.entry.ref, () => this.#judge.mend(deed.entry, { signal, leisure, isWanted }));
      }
      case "Refuse":
        return this.#refuse(deed.entry, signal);
      default:
        return deed satisfies never;
    }
  }

  /** `judge` answers null where nothing can be said yet. */
  async #verify(ref: CheckpointRef, judge: () => Promise<Verdict | null>): Promise<void> {
    const started = performance.now();
    const wasFound = this.#isFound(ref.digest);
    const verdict = await this.#operations.attempt("verify", ref.digest, judge);
    if (verdict === null) return;
    const seconds = (performance.now() - started) / 1000;
    const name = `step ${ref.step} of attempt ${ref.attempt}`;
    if (verdict.ok) {
      this.#verified.add(ref.digest);
      this.#metrics.countVerified(seconds, verdict.bytes);
      console.log(`Verified ${name}, ${verdict.bytes} bytes in ${seconds.toFixed(3)} s`);
      return;
    }
    // Said once, however often it is read again.
    if (wasFound || !this.#isFound(ref.digest)) return;
    this.#metrics.countRefused(seconds, verdict.reason);
    console.error(`Cannot accept ${name} because it does not verify, with ${verdict.reason}: ${verdict.message}`);
  }

  /** Whether there is more to do than there was at the last look. */
  async #hasNews(signal: AbortSignal): Promise<boolean> {
    const { state } = await readLog(this.#store, { signal });
    return state.last !== this.#state.last || (this.#final === null && (await this.#readFinal()) !== null);
  }

  async #refuse({ ref, found: { reason, message } }: Unmatched, signal: AbortSignal): Promise<void> {
    const { TRAININGRUN_ATTEMPT: attempt, TRAININGRUN_NODE: node } = this.#environment;
    const record = { kind: "refuse", attempt, manifest: ref.digest, reason, message, node } as const;
    const refused = await this.#operations.attempt("refuse", ref.digest, async () => {
      await this.#append(record, signal);
      return true;
    });
    if (refused) console.error(`Refused step ${ref.step} of attempt ${ref.attempt} with ${reason}`);
  }

  /** Says whether that step is committed now. */
  async #commitShards(step: number, signal: AbortSignal): Promise<boolean> {
    const { TRAININGRUN_ATTEMPT: attempt } = this.#environment;
    const subject = `step ${step}`;
    if (this.#operations.pausing("gather", subject)) return false;
    const outcome = await this.#operations.attempt("gather", subject, () =>
      commitShards(this.#store, { step, attempt, signal }),
    );
    if (outcome?.kind !== "committed") return false;
    console.log(`Committed step ${step} of attempt ${attempt}, ${outcome.bytes} bytes of ${outcome.workers} workers`);
    return true;
  }

  /** The agent appends `done` for the trainer, and only for a final checkpoint that it has verified (I9). */
  async #recordDone(signal: AbortSignal): Promise<void> {
    const manifest = this.#final?.checkpoint;
    const isVerified = manifest !== undefined && this.#verified.now.has(manifest);
    if (!isVerified || this.#state.done !== null || !this.#finalIsDue()) return;
    if (this.#operations.pausing("done", manifest)) return;
    const attempt = this.#environment.TRAININGRUN_ATTEMPT;
    const finished = await this.#operations.attempt("done", manifest, async () => {
      await finishVerified(this.#store, { attempt, manifest, signal });
      return true;
    });
    if (finished) this.#state = { ...this.#state, done: { attempt, manifest } };
  }

  /** A final checkpoint that is refused or does not verify, or that the log does not have, will not be `done` here. */
  #finalIsDue(): boolean {
    const manifest = this.#final?.checkpoint;
    if (manifest === undefined || find(this.#state, manifest) === undefined) return false;
    return !isRefused(this.#state, manifest) && !this.#isFound(manifest);
  }

  /** Whether it was found not to match, and the volume would have shown it by now. */
  #isFound(digest: Digest): boolean {
    const entry = this.#judge.entries.get(digest);
    return entry !== undefined && entry.fate !== "OutOfSight";
  }

  async #append(record: RecordDraft, signal: AbortSignal): Promise<void> {
    const outcome = await appendRecord(this.#store, record, { signal });
    if (outcome.kind === "fenced") throw new FencedError(outcome.message, outcome.by);
    // A void record says what the log says already, such as a refusal that an earlier life of this agent appended.
  }

  #endIfFenced(error: unknown): void {
    if (!(error instanceof FencedError)) throw error;
    this.fence(error.message);
  }
}
