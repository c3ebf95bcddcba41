import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { FencedError } from "@trainingrun/checkpoint/log/append.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import type { LogRecord } from "@trainingrun/checkpoint/log/record.ts";
import { secureRecord } from "@trainingrun/checkpoint/log/secure.ts";
import type { CheckpointRef } from "@trainingrun/checkpoint/log/state.ts";
import type { Store } from "@trainingrun/checkpoint/store/store.ts";
import { type FailedVerdict, type Mending, mendCheckpoint } from "@trainingrun/checkpoint/tiers/mend.ts";
import { type Verdict, verifyCheckpoint } from "@trainingrun/checkpoint/verify.ts";
import { holderOf } from "./holder.ts";
import { Unmatched } from "./keeper-unmatched.ts";
import type { VerifiedDigests } from "./verified-digests.ts";

/** Opens the run's object store to read from it alone; `signal` ends all its requests. */
export type OpenMirror = (signal: AbortSignal) => Promise<Store & Readonly<{ close?(): void }>>;

/** What is to be done with a checkpoint that was read back. One that is set aside stays as it is. */
export type Judgement =
  | Readonly<{ kind: "Whole"; bytes: number }>
  | Readonly<{ kind: "ToRefuse" | "SetAside"; found: FailedVerdict }>;

/** A checkpoint that was whole once is in no tier any more. It is not refused for it: what is not there endangers nobody. */
class CheckpointMissingError extends Error {
  override readonly name = "CheckpointMissingError";
}

type Options = Readonly<{
  environment: AgentEnvironment;
  store: Store;
  verified: VerifiedDigests;
  /** Null for a run without an object store. */
  openMirror: OpenMirror | null;
}>;

/**
 * Reads committed checkpoints back, every byte. What had been whole before is mended, as far as the object store can help,
 * and set aside where it cannot; see {@link Unmatched}.
 */
export class CheckpointJudge {
  readonly unmatched: Unmatched;
  readonly #options: Options;

  constructor(options: Options) {
    this.#options = options;
    this.unmatched = new Unmatched(options.environment.TRAININGRUN_NODE);
  }

  /** Throws where nothing can be said: a tier cannot be read, another pod holds the log, or aborted. */
  async judge(ref: CheckpointRef, signal: AbortSignal): Promise<Judgement> {
    const found = this.unmatched.awaiting(ref.digest) ?? (await this.#readBack(ref, signal));
    if (found.ok) return this.#whole(ref, found.bytes);
    if (this.#wasWhole(ref)) return this.#mend(ref, found, signal);
    if (!this.unmatched.isNodeSuspect) return { kind: "ToRefuse", found };
    this.unmatched.put(ref, found, "Held");
    return { kind: "SetAside", found };
  }

  /**
   * Before anybody hears that a checkpoint is whole its `commit` is made durable: a save whose last sync failed has left the
   * record in sight, and a crash of the node would take it back (I3).
   */
  async #readBack(ref: CheckpointRef, signal: AbortSignal): Promise<Verdict> {
    const { store } = this.#options;
    const isItsCommit = (record: LogRecord) => record.kind === "commit" && record.manifest === ref.digest;
    await secureRecord(store, isItsCommit, { signal });
    return verifyCheckpoint(store, ref, { signal });
  }

  #whole({ digest }: CheckpointRef, bytes: number): Judgement {
    this.unmatched.drop(digest);
    return { kind: "Whole", bytes };
  }

  async #mend(ref: CheckpointRef, found: FailedVerdict, signal: AbortSignal): Promise<Judgement> {
    this.unmatched.put(ref, found, "AwaitsMirror");
    await this.#holdLog(signal);
    const mending = await this.#mendFromMirror(ref, found, signal);
    if (mending.kind !== "Impossible") console.warn(mending.message);
    const { kind, verdict } = mending;
    if (verdict.ok) return this.#whole(ref, verdict.bytes);
    if (kind === "Impossible" && found.reason === "Missing") {
      this.unmatched.put(ref, verdict, "Missing");
      throw new CheckpointMissingError(verdict.message);
    }
    this.unmatched.put(ref, verdict, kind === "Impossible" ? "Held" : "NotKept");
    if (this.#isConfirmed(ref.digest)) this.unmatched.clearNode();
    return { kind: "SetAside", found: verdict };
  }

  async #mendFromMirror(checkpoint: CheckpointRef, found: FailedVerdict, signal: AbortSignal): Promise<Mending> {
    const { store, openMirror } = this.#options;
    const mirror = openMirror === null ? null : await openMirror(signal);
    try {
      return await mendCheckpoint({ volume: store, objectStore: mirror, checkpoint, found, signal });
    } finally {
      mirror?.close?.();
    }
  }

  /** Reading all of a large checkpoint takes long enough for another pod to take the log over. */
  async #holdLog(signal: AbortSignal): Promise<void> {
    const { store, environment } = this.#options;
    const { state } = await readLog(store, { signal });
    const holder = holderOf(state, environment);
    const by = state.fence ?? state.opened;
    if (holder.kind === "other" && by !== null) throw new FencedError(holder.why, by);
  }

  /** Whether somebody has found it whole, or may have: only what this attempt has just saved may be bad from the first. */
  #wasWhole({ attempt, digest }: CheckpointRef): boolean {
    const { environment, verified } = this.#options;
    return attempt !== environment.TRAININGRUN_ATTEMPT || verified.wasMatched(digest);
  }

  /** Whether the operator has heard it from enough nodes. A suspect of a crash, which it names as well, is on record as whole. */
  #isConfirmed(digest: Digest): boolean {
    const { refused, recorded } = this.#options.environment.TRAININGRUN_EXPECTED;
    return refused.includes(digest) && !recorded.some((one) => one.digest === digest);
  }
}
