import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import type { RetentionPolicy } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { pointNames } from "@trainingrun/checkpoint/names.ts";
import { prune } from "@trainingrun/checkpoint/prune.ts";
import { verifyCheckpoint } from "@trainingrun/checkpoint/verify.ts";
import type { BestPolicy } from "./best.ts";
import type { CommittedCheckpoint } from "./saver.ts";
import type { StartingPoint } from "./starting-point.ts";

/**
 * The agent's work where there is no agent: reads each new checkpoint back, moves the names that people find it by,
 * and removes the old ones that two newer verified ones have made superfluous (I6). It never holds the training up for a failure: disk space is all it is about.
 */
export class RetentionAtHand {
  readonly #start: StartingPoint;
  readonly #policy: RetentionPolicy;
  #verified: readonly Digest[];
  #work: Promise<void> = Promise.resolve();

  constructor(start: StartingPoint, best: BestPolicy | undefined) {
    this.#start = start;
    this.#verified = start.resume === null ? [] : [start.resume.digest];
    const kept = best === undefined ? null : { metric: best.metric, mode: best.mode, count: 1 };
    this.#policy = { last: 3, best: kept, everySteps: null, maxBytes: null };
  }

  /** Takes a commit in; the work goes on behind training, one checkpoint after the other. */
  readonly afterCommit = (checkpoint: CommittedCheckpoint): void => {
    this.#work = this.#work
      .then(() => this.#keepHouse(checkpoint))
      .catch((error: unknown) => console.error("Old checkpoints stay where they are:", error));
  };

  /** Resolves when all commits so far have been looked at. */
  get settled(): Promise<void> {
    return this.#work;
  }

  async #keepHouse({ digest, directory }: CommittedCheckpoint): Promise<void> {
    const { store, attempt } = this.#start;
    const verdict = await verifyCheckpoint(store, { digest, directory });
    if (!verdict.ok) {
      console.error(`The checkpoint in ${directory} does not read back as it was written: ${verdict.message}`);
      return;
    }
    this.#verified = [digest, ...this.#verified].slice(0, keptInMind);
    const { state } = await readLog(store);
    await pointNames(store, { state, verified: new Set(this.#verified), policy: this.#policy }).catch(
      (error: unknown) => console.error("The names latest and best stay where they are:", error),
    );
    const now = new Date().toISOString();
    await prune(store, { attempt, policy: this.#policy, verified: this.#verified, recorded: [], now });
  }
}

const keptInMind = 1000;
