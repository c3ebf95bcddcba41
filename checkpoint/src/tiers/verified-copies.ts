import type { Digest, Tier } from "../contract/digest.ts";
import { parseSettlingName } from "../directory-name.ts";
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
 * copy where that is whole, one repaired with chunks of what a repair left aside or of the object store's, or one
 * downloaded. Each is looked at once.
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

  /** Whether the volume's copy was found whole, as it was or in the end. */
  isWhole({ directory, digest }: { directory: string; digest: Digest }): boolean {
    const known = this.#verdicts.get(directory);
    return known?.ok === true && known.manifest.digest === digest;
  }

  /** Where a verified checkpoint's bytes came from. */
  tierOf(directory: string): Tier {
    return this.#downloaded.has(directory) ? "ObjectStore" : this.#options.volume.tier;
  }

  /** Bytes of all checkpoints that were found whole. */
  get bytes(): number {
    return [...this.#verdicts.values()].reduce((sum, verdict) => sum + (verdict.ok ? verdict.bytes : 0), 0);
  }

  async #mend(
    checkpoint: { directory: string; digest: Digest },
    found: Extract<Verdict, { ok: false }>,
  ): Promise<Verdict> {
    const { volume, objectStore, warn } = this.#options;
    const isMissing = found.reason === "Missing";
    const aside = (await volume.names()).filter((name) => parseSettlingName(name) === checkpoint.directory);
    if (objectStore === null && aside.length === 0) return found;
    const source = [
      ...(aside.length === 0 ? [] : ["what a repair left aside"]),
      ...(objectStore === null ? [] : ["the object store"]),
    ].join(" and ");
    const assembled = await assembleCheckpoint({
      to: volume,
      from: [...(isMissing ? [] : [volume]), ...(objectStore === null ? [] : [objectStore])],
      aside: aside.map((name) => volume.checkpoint(name)),
      checkpoint,
      ...this.#signal(),
    });
    // Its own words stand first: they tell what is wrong with the copy that a person will look at.
    if (assembled.kind === "impossible") {
      return {
        ...found,
        message: `${found.message}; ${source} does not help: ${assembled.message}`.slice(0, 512),
      };
    }
    const isDownload = isMissing && aside.length === 0;
    if (isDownload) this.#downloaded.add(checkpoint.directory);
    const what = isDownload ? "Downloaded" : "Repaired";
    const why = isDownload ? "" : `: ${found.message}`;
    warn(`${what} ${checkpoint.directory} from ${source}${why}`);
    return verifyCheckpoint(volume, checkpoint, this.#signal());
  }

  #signal(): { signal?: AbortSignal } {
    return this.#options.signal === undefined ? {} : { signal: this.#options.signal };
  }
}
