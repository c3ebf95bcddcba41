import type { Digest, Tier } from "../contract/digest.ts";
import type { Store } from "../store/store.ts";
import { type Verdict, verifyCheckpoint } from "../verify.ts";
import { assembleCheckpoint } from "./assemble.ts";

type Options = Readonly<{
  volume: Store;
  objectStore: Store | null;
  signal?: AbortSignal | undefined;
  /** Hears of what was repaired or downloaded. */
  warn: (message: string) => void;
}>;

/**
 * Looks for a checkpoint whose every byte matches and puts it on the volume, where the trainer reads it: the volume's
 * copy where that is whole, one repaired with chunks of the object store's, or one downloaded. Each is looked at once.
 */
export class VerifiedCopies {
  readonly #options: Options;
  readonly #verdicts = new Map<string, Verdict>();
  readonly #downloaded = new Set<string>();

  constructor(options: Options) {
    this.#options = options;
  }

  /** The verdict on the volume's copy, after everything that could be done for it. */
  async verify(checkpoint: { directory: string; digest: Digest }): Promise<Verdict> {
    const known = await this.look(checkpoint);
    if (known.ok || this.#options.objectStore === null) return known;
    const verdict = await this.#mend(checkpoint, known, this.#options.objectStore);
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

  /** Where a verified checkpoint's bytes came from. */
  tierOf(directory: string): Tier {
    return this.#downloaded.has(directory) ? "ObjectStore" : this.#options.volume.tier;
  }

  /** Bytes of all checkpoints that were found whole. */
  get bytes(): number {
    return [...this.#verdicts.values()].reduce((sum, verdict) => sum + (verdict.ok ? verdict.bytes : 0), 0);
  }

  async #mend(checkpoint: { directory: string; digest: Digest }, found: Verdict, objectStore: Store): Promise<Verdict> {
    if (found.ok) return found;
    const { volume, warn } = this.#options;
    const isMissing = found.reason === "Missing";
    const assembled = await assembleCheckpoint({
      to: volume,
      from: isMissing ? [objectStore] : [volume, objectStore],
      checkpoint,
      ...this.#signal(),
    });
    // Its own words stand first: they tell what is wrong with the copy that a person will look at.
    if (assembled.kind === "impossible") {
      return {
        ...found,
        message: `${found.message}; the object store does not help: ${assembled.message}`.slice(0, 512),
      };
    }
    if (isMissing) this.#downloaded.add(checkpoint.directory);
    const what = isMissing ? "Downloaded" : "Repaired";
    const why = isMissing ? "" : `: ${found.message}`;
    warn(`${what} ${checkpoint.directory} from the object store${why}`);
    return verifyCheckpoint(volume, checkpoint, this.#signal());
  }

  #signal(): { signal?: AbortSignal } {
    return this.#options.signal === undefined ? {} : { signal: this.#options.signal };
  }
}
