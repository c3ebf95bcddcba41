import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { visibleWithinMs } from "@trainingrun/checkpoint/into-sight.ts";
import { find, isRefused } from "@trainingrun/checkpoint/log/fold.ts";
import type { LogRecord } from "@trainingrun/checkpoint/log/record.ts";
import { secureRecord } from "@trainingrun/checkpoint/log/secure.ts";
import type { CheckpointRef, RunState } from "@trainingrun/checkpoint/log/state.ts";
import type { Store } from "@trainingrun/checkpoint/store/store.ts";
import { type Verdict, verifyCheckpoint } from "@trainingrun/checkpoint/verify.ts";
import { whileIdle } from "./keeper-idle.ts";
import { mendOnVolume, type OpenMirror, PutOffError } from "./keeper-mending.ts";
import { type Entries, type Event, next, type Unmatched } from "./keeper-unmatched.ts";

type Options = Readonly<{
  environment: AgentEnvironment;
  store: Store;
  /** Null for a run without an object store. */
  openMirror: OpenMirror | null;
}>;

type MendOptions = Readonly<{
  signal: AbortSignal;
  /** Ends what can wait. */
  leisure: AbortSignal;
  /** Whether something came up that cannot. */
  isWanted: () => Promise<boolean>;
}>;

/** What a volume on a network may say of a directory that it has just begun to show. */
const unsettledReasons: ReadonlySet<string> = new Set(["Missing", "ManifestMissing", "FileMissing", "SizeDiffers"]);

/**
 * Reads committed checkpoints back, every byte, and mends what does not match, when it is told to. What came of either is
 * noted in `entries`, by the rules of `next`; what is to be done about it is the keeper's to say.
 */
export class CheckpointJudge {
  readonly #options: Options;
  #entries: Entries = new Map();
  /** When this process first found the commits of its own attempt, by a monotonic clock. */
  #seen: ReadonlyMap<Digest, number> = new Map();
  #state: RunState | null = null;

  constructor(options: Options) {
    this.#options = options;
  }

  /** All that does not match at present. */
  get entries(): Entries {
    return this.#entries;
  }

  /** Takes note of what the log says by now. */
  follow(state: RunState): void {
    this.#state = state;
    const now = performance.now();
    const { TRAININGRUN_ATTEMPT: attempt } = this.#options.environment;
    const own = state.checkpoints.filter((ref) => ref.attempt === attempt);
    this.#seen = new Map(own.map(({ digest }) => [digest, this.#seen.get(digest) ?? now]));
    const settled = [...this.#entries.keys()].filter(
      (digest) => find(state, digest) === undefined || isRefused(state, digest),
    );
    if (settled.length > 0) this.#note({ kind: "Settled", digests: new Set(settled) });
  }

  /**
   * Reads one back. Before anybody hears that it is whole its `commit` is made durable: a save whose last sync failed has
   * left the record in sight, and a crash of the node would take it back (I3). Throws where nothing can be said.
   */
  async read(ref: CheckpointRef, signal: AbortSignal): Promise<Verdict> {
    const { store } = this.#options;
    const beganMs = performance.now();
    const isItsCommit = (record: LogRecord) => record.kind === "commit" && record.manifest === ref.digest;
    await secureRecord(store, isItsCommit, { signal });
    const verdict = await verifyCheckpoint(store, ref, { signal });
    if (verdict.ok) return this.#whole(ref, verdict);
    const times = { beganMs, endedMs: performance.now(), time: new Date().toISOString() };
    this.#note({ kind: "Differs", ref, found: verdict, ...times, isYoung: this.#isYoung(ref, verdict.reason) });
    return verdict;
  }

  /**
   * Puts a whole copy in the place of one that does not match. Null where that has to wait. Throws where a tier cannot be
   * read or written, another pod holds the log, or aborted.
   */
  async mend({ ref, found }: Unmatched, { signal, ...idle }: MendOptions): Promise<Verdict | null> {
    const { digest } = ref;
    const putOff = (why: string) => this.#note({ kind: "PutOff", digest, why, atMs: performance.now() });
    const mendNow = (end: AbortSignal) =>
      mendOnVolume(ref, { ...this.#options, found, state: this.#state, signal: end }).catch((error: unknown) => {
        if (error instanceof PutOffError) return error;
        throw error;
      });
    const mending = await whileIdle(mendNow, { signal, ...idle });
    if (mending === null) putOff("there was something else to do first");
    if (mending instanceof PutOffError) putOff(mending.message);
    if (mending === null || mending instanceof PutOffError) return null;
    if ("message" in mending) console.warn(mending.message);
    const { verdict } = mending;
    if (verdict.ok) return this.#whole(ref, verdict);
    const kind = mending.kind === "NotKept" ? "CopyNotKept" : "NoCopyHelps";
    this.#note({ kind, digest, found: verdict, atMs: performance.now() });
    return verdict;
  }

  #whole({ digest }: CheckpointRef, verdict: Verdict): Verdict {
    this.#note({ kind: "Settled", digests: new Set([digest]) });
    return verdict;
  }

  /** Whether this attempt has saved it so short a time ago that another node's files may still come into sight. */
  #isYoung({ digest }: CheckpointRef, reason: string): boolean {
    const seen = this.#seen.get(digest);
    return seen !== undefined && unsettledReasons.has(reason) && performance.now() - seen < visibleWithinMs;
  }

  #note(event: Event): void {
    this.#entries = next(this.#entries, event);
  }
}
