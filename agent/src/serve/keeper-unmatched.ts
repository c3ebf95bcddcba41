import type { RefusedSummary } from "@trainingrun/checkpoint/contract/checkpoint-summary.ts";
import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import type { CheckpointRef } from "@trainingrun/checkpoint/log/state.ts";
import type { FailedVerdict } from "@trainingrun/checkpoint/tiers/mend.ts";
import type { Problem } from "./knowledge.ts";

/**
 * What is to become of it. `AwaitsMirror`: the object store could not be asked yet. `Missing`: it is not there, in any
 * tier, so it endangers nobody. `Held`: no copy helps. `NotKept`: a whole copy was written, and does not verify either.
 */
type Fate = "AwaitsMirror" | "Missing" | "Held" | "NotKept";

/** A checkpoint that does not verify on this node, and that nobody refuses, so far. */
type Entry = Readonly<{ ref: CheckpointRef; found: FailedVerdict; fate: Fate; time: string }>;

/** With so many the node's memory or its mount is the likelier culprit. */
const suspiciousFailures = 2;

/**
 * What one agent could not match though somebody had found it whole before, or another attempt had saved it. A refusal is
 * for good, and a bad node would refuse a whole history, one checkpoint after the other: so each is held back until all
 * the others are read, and from the second one on nothing is refused here any more.
 *
 *     does not match ─► mend it from the object store ─► whole again
 *                             │ no copy helps                             ┌─► the only one: `refuse`
 *                             └─► held, until all else was read ──────────┤
 *                                                                         └─► the second one: NodeSuspect, no `refuse`
 */
export class Unmatched {
  readonly #node: string;
  readonly #entries = new Map<Digest, Entry>();
  /** All that did not match in this process, in words, whatever became of it. */
  readonly #failures = new Map<Digest, string>();
  #isNodeCleared = false;

  constructor(node: string) {
    this.#node = node;
  }

  put(ref: CheckpointRef, found: FailedVerdict, fate: Fate): void {
    this.#entries.set(ref.digest, { ref, found, fate, time: new Date().toISOString() });
    // What is not there is missing from every node.
    if (fate === "Held" || fate === "NotKept") this.#failures.set(ref.digest, `step ${ref.step} ${found.reason}`);
  }

  /** Whole after all, refused, or gone. */
  drop(digest: Digest): void {
    this.#entries.delete(digest);
  }

  /** Drops all of which the log says so. */
  forget(isGone: (digest: Digest) => boolean): void {
    for (const digest of this.#entries.keys()) if (isGone(digest)) this.#entries.delete(digest);
  }

  fateOf(digest: Digest): Fate | null {
    return this.#entries.get(digest)?.fate ?? null;
  }

  /** What was found of one that waits for the object store: its bytes need not be read again for that. */
  awaiting(digest: Digest): FailedVerdict | null {
    const entry = this.#entries.get(digest);
    return entry?.fate === "AwaitsMirror" ? entry.found : null;
  }

  /** Other nodes say the same of one of them: then this node reads as they do. */
  clearNode(): void {
    this.#isNodeCleared = true;
  }

  get isNodeSuspect(): boolean {
    return !this.#isNodeCleared && this.#failures.size >= suspiciousFailures;
  }

  /** What may be refused, if all else was read. */
  get refusable(): readonly Entry[] {
    return this.isNodeSuspect ? [] : [...this.#entries.values()].filter(({ fate }) => fate === "Held");
  }

  /** For the operator: should the next node say the same, they are refused for good. */
  get suspected(): readonly RefusedSummary[] {
    if (!this.isNodeSuspect) return [];
    const failed = [...this.#entries.values()].filter(({ fate }) => fate === "Held" || fate === "NotKept");
    return failed.map(({ ref: { step, attempt, digest }, found: { reason, message }, time }) => {
      return { step, attempt, digest, reason, message, node: this.#node, time };
    });
  }

  get problems(): readonly Problem[] {
    if (this.isNodeSuspect) {
      const which = [...this.#failures.values()].slice(0, 4).join(", ");
      const message = `Checkpoints that had been whole do not verify on node ${this.#node}: ${which}. None of them is refused for it: the attempt is to go on on another node, and this one's memory and mounts are to be tested.`;
      return [{ reason: "NodeSuspect", message }];
    }
    const notKept = [...this.#entries.values()].find(({ fate }) => fate === "NotKept");
    if (notKept === undefined) return [];
    const { ref, found } = notKept;
    const message = `The object store has step ${ref.step} whole, and what was written of it to the volume does not verify: ${found.message}`;
    return [{ reason: "CopyNotKept", message }];
  }
}
