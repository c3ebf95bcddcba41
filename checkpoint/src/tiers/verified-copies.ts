import type { Digest, Tier } from "../contract/digest.ts";
import type { Store } from "../store/store.ts";
import { type Verdict, verifyCheckpoint } from "../verify.ts";
import { type FailedVerdict, mendCheckpoint } from "./mend.ts";

type Options = Readonly<{
  volume: Store;
  objectStore: Store | null;
  signal?: AbortSignal | undefined;
  /** Hears of what was repaired or downloaded. */
  warn: (message: string) => void;
}>;

/**
 * Looks for a checkpoint whose every byte matches and puts it on the volume, where the trainer reads it: the volume's
 * copy where that is whole, one repaired with chunks of what a repair left aside or of the object store's, or one
 * downloaded. Each is looked at once, unless it is asked for again.
 */
export class VerifiedCopies {
  readonly #options: Options;
  readonly #verdicts = new Map<string, Verdict>();
  readonly #downloaded = new Set<string>();
  readonly #notKept = new Set<string>();

  constructor(options: Options) {
    this.#options = options;
  }

  /** The verdict on the volume's copy, after everything that could be done for it. */
  async verify(checkpoint: { directory: string; digest: Digest }): Promise<Verdict> {
    const known = await this.look(checkpoint);
    if (known.ok) return known;
    const verdict = await this.#mend(checkpoint, known);
    this.#verdicts.set(checkpoint.directory, verdict);
    return verdict;
  }

  /** The verdict on the volume's copy as it is. Without a digest, whatever manifest it has is its own witness. */
  async look({ directory, digest }: { directory: string; digest: Digest | null }): Promise<Verdict> {
    const known = this.#verdicts.get(directory);
    if (known !== undefined && (!known.ok || digest === null || known.manifest.digest === digest)) return known;
    const verdict = await verifyCheckpoint(this.#options.volume, { directory, digest }, this.#signal());
    this.#verdicts.set(directory, verdict);
    return verdict;
  }

  /** The verdict on the volume's copy as it is by now, where an earlier one has to be forgotten. */
  async lookAgain(checkpoint: { directory: string; digest: Digest }): Promise<Verdict> {
    this.#verdicts.delete(checkpoint.directory);
    return this.look(checkpoint);
  }

  /** Whether the volume's copy was found whole, as it was or in the end. */
  isWhole({ directory, digest }: { directory: string; digest: Digest }): boolean {
    const known = this.#verdicts.get(directory);
    return known?.ok === true && known.manifest.digest === digest;
  }

  /** Whether bytes that matched on their way here did not on the volume: nothing is wrong with the checkpoint then. */
  wasNotKept({ directory }: { directory: string }): boolean {
    return this.#notKept.has(directory);
  }

  /** Where a verified checkpoint's bytes came from. */
  tierOf(directory: string): Tier {
    return this.#downloaded.has(directory) ? "ObjectStore" : this.#options.volume.tier;
  }

  /** Bytes of all checkpoints that were found whole. */
  get bytes(): number {
    return [...this.#verdicts.values()].reduce((sum, verdict) => sum + (verdict.ok ? verdict.bytes : 0), 0);
  }

  async #mend(checkpoint: { directory: string; digest: Digest }, found: FailedVerdict): Promise<Verdict> {
    const { volume, objectStore, warn } = this.#options;
    const mending = await mendCheckpoint({ volume, objectStore, checkpoint, found, ...this.#signal() });
    if ("message" in mending) warn(mending.message);
    if (mending.kind === "NotKept") this.#notKept.add(checkpoint.directory);
    if (mending.kind !== "Downloaded" && mending.kind !== "Repaired") return mending.verdict;
    if (mending.kind === "Downloaded") this.#downloaded.add(checkpoint.directory);
    // Another process may have mended it as well, and training starts from what has the name (I2).
    return verifyCheckpoint(volume, checkpoint, this.#signal());
  }

  #signal(): { signal?: AbortSignal } {
    return this.#options.signal === undefined ? {} : { signal: this.#options.signal };
  }
}
