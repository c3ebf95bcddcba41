import type { Digest } from "../contract/digest.ts";
import type { LogRecord, NumberedRecord } from "./record.ts";
import type { AttemptLink, CarriedState, CheckpointRef, Fence, Opened, Refusal, RunState } from "./state.ts";

/**
 * A run's state while it is folded: the same as {@link RunState}, kept so that a record costs the same however long
 * the log is. A process that meets a long log for the first time folds all of it at once.
 */
export class Ledger {
  opened: Opened | null;
  fence: Fence | null;
  done: RunState["done"];
  readonly checkpoints: Map<Digest, CheckpointRef>;
  readonly refused: Map<Digest, Refusal>;
  readonly deleted: Map<Digest, { digest: Digest; directory: string }>;
  /** Directories of {@link checkpoints} and of {@link deleted}. */
  readonly directories: Set<string>;
  readonly #damaged: number[];
  #attempts: readonly AttemptLink[];
  #last: number;

  constructor(state: RunState) {
    this.opened = state.opened;
    this.fence = state.fence;
    this.done = state.done;
    this.checkpoints = new Map(state.checkpoints.map((ref) => [ref.digest, ref]));
    this.refused = new Map(state.refused.map((refusal) => [refusal.digest, refusal]));
    this.deleted = new Map(state.deleted.map((gone) => [gone.digest, gone]));
    this.directories = new Set([...state.checkpoints, ...state.deleted].map(({ directory }) => directory));
    this.#damaged = [...state.damaged];
    this.#attempts = state.attempts;
    this.#last = state.last;
  }

  /** The step that the open attempt began at. */
  get baseStep(): number {
    const link = this.#attempts.find(({ attempt }) => attempt === this.opened?.attempt)?.base;
    // A base of the attempt's own is a copy of another run's: the lineage begins with it, and no link leads to it.
    return link?.step ?? this.checkpoints.get(this.opened?.base ?? "")?.step ?? 0;
  }

  /** The state as a value. */
  get state(): RunState {
    return {
      last: this.#last,
      opened: this.opened,
      fence: this.fence,
      attempts: this.#attempts,
      checkpoints: [...this.checkpoints.values()],
      refused: [...this.refused.values()],
      deleted: [...this.deleted.values()],
      done: this.done,
      damaged: this.#damaged,
    };
  }

  /** Goes past a number whose record counts for nothing. */
  pass({ number }: NumberedRecord): void {
    this.#last = number;
  }

  /** Goes past a number whose record cannot be told: where an `open` was announced, it may have been that `open`. */
  lose(entry: Extract<NumberedRecord, { damaged: string }>): void {
    const { number, announced } = entry;
    this.#last = number;
    this.#damaged.push(number);
    if (announced !== undefined && announced > (this.fence?.attempt ?? 0)) this.fence = { attempt: announced, number };
  }

  /** Takes in a record that counts. */
  take(number: number, record: LogRecord): void {
    this.#last = number;
    const { attempt, time } = record;
    switch (record.kind) {
      case "open": {
        const { podUid, node, base, generation, state } = record;
        this.#carryOver(state);
        this.#attempts = this.#linked(attempt, base);
        this.opened = { attempt, podUid, node, base, generation, number, time };
        this.fence = { attempt, number };
        this.done = null;
        return;
      }
      case "commit": {
        const { manifest: digest, step, epoch, directory, bytes, metrics, unhealthy } = record;
        const when = { step, ...(epoch === undefined ? {} : { epoch }), attempt, time };
        this.checkpoints.set(digest, { digest, ...when, directory, bytes, metrics, unhealthy });
        this.directories.add(directory);
        return;
      }
      case "refuse": {
        const { manifest: digest, reason, message, node } = record;
        this.refused.set(digest, { digest, attempt, reason, message, node, time });
        return;
      }
      case "delete":
        for (const digest of record.manifests) this.#delete(digest);
        return;
      case "done":
        this.done = { attempt, manifest: record.manifest };
        return;
      default:
        record satisfies never;
    }
  }

  /** A reader may start at any `open`, so what it carries is the state from there on, for those who started below too. */
  #carryOver({ attempts, checkpoints, refused }: CarriedState): void {
    this.#attempts = attempts;
    this.checkpoints.clear();
    this.refused.clear();
    this.deleted.clear();
    this.directories.clear();
    for (const ref of checkpoints) {
      this.checkpoints.set(ref.digest, ref);
      this.directories.add(ref.directory);
    }
    for (const refusal of refused) this.refused.set(refusal.digest, refusal);
  }

  #delete(digest: Digest): void {
    const ref = this.checkpoints.get(digest);
    if (ref === undefined) return;
    this.checkpoints.delete(digest);
    this.refused.delete(digest);
    this.deleted.set(digest, { digest, directory: ref.directory });
  }

  /**
   * The links with the new attempt's, and the others shortened: an attempt of which nothing is left is skipped over, so
   * that a run of ten thousand attempts carries only those that still have checkpoints.
   */
  #linked(attempt: number, base: Digest | null): AttemptLink[] {
    const older = this.#attempts.filter((other) => other.attempt !== attempt);
    const links = new Map(older.map((other) => [other.attempt, other]));
    const lowest = this.#lowestSteps();
    const alive = (at: AttemptLink["base"]) => at === null || (lowest.get(at.attempt) ?? at.step + 1) <= at.step;
    const shorten = (start: AttemptLink["base"]) => {
      let at = start;
      while (at !== null && !alive(at)) at = links.get(at.attempt)?.base ?? null;
      return at;
    };
    const kept = older
      .filter((other) => lowest.has(other.attempt))
      .map((other) => ({ attempt: other.attempt, base: shorten(other.base) }));
    const ref = base === null ? undefined : this.checkpoints.get(base);
    const isLinked = ref !== undefined && ref.attempt !== attempt;
    const place = !isLinked ? null : { digest: ref.digest, attempt: ref.attempt, step: ref.step };
    return [...kept, { attempt, base: place }];
  }

  /** The lowest step of each attempt that has checkpoints. */
  #lowestSteps(): Map<number, number> {
    const lowest = new Map<number, number>();
    for (const { attempt, step } of this.checkpoints.values()) {
      lowest.set(attempt, Math.min(step, lowest.get(attempt) ?? step));
    }
    return lowest;
  }
}
