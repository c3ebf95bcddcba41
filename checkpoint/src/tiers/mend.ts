import type { Digest } from "../contract/digest.ts";
import { parseSettlingName } from "../directory-name.ts";
import type { Store } from "../store/store.ts";
import { type Verdict, verifyCheckpoint } from "../verify.ts";
import { assembleCheckpoint } from "./assemble.ts";

/** A verdict that says what is wrong. */
export type FailedVerdict = Extract<Verdict, { ok: false }>;

/**
 * What became of a copy that did not verify. A whole one was written in its place, and `verdict` is on that; or no copy
 * that there is helps, and `verdict` is the one that was found, with more words.
 */
export type Mending =
  | Readonly<{ kind: "Repaired" | "Downloaded"; verdict: Verdict; message: string }>
  | Readonly<{ kind: "Impossible"; verdict: FailedVerdict }>;

type Options = Readonly<{
  volume: Store;
  objectStore: Store | null;
  checkpoint: Readonly<{ directory: string; digest: Digest }>;
  /** What is wrong with the volume's copy. */
  found: FailedVerdict;
  signal?: AbortSignal | undefined;
}>;

/**
 * Puts a whole copy of a checkpoint on the volume where what lies there does not verify: mended with chunks of what a
 * repair left aside or of the object store's, or downloaded. It is tried twice before no copy helps: an error that a
 * device answers once may have been all that was in the way. Throws where a tier itself fails, or aborted.
 */
export async function mendCheckpoint(options: Options): Promise<Mending> {
  const mending = await mendOnce(options);
  return mending.kind === "Impossible" && mending.verdict !== options.found ? mendOnce(options) : mending;
}

async function mendOnce({ volume, objectStore, checkpoint, found, signal }: Options): Promise<Mending> {
  const isMissing = found.reason === "Missing";
  const aside = (await volume.names()).filter((name) => parseSettlingName(name) === checkpoint.directory);
  if (objectStore === null && aside.length === 0) return { kind: "Impossible", verdict: found };
  const source = [
    ...(aside.length === 0 ? [] : ["what a repair left aside"]),
    ...(objectStore === null ? [] : ["the object store"]),
  ].join(" and ");
  const assembled = await assembleCheckpoint({
    to: volume,
    from: [...(isMissing ? [] : [volume]), ...(objectStore === null ? [] : [objectStore])],
    aside: aside.map((name) => volume.checkpoint(name)),
    checkpoint,
    signal,
  });
  // Its own words stand first: they tell what is wrong with the copy that a person will look at.
  if (assembled.kind === "impossible") {
    const message = `${found.message}; ${source} does not help: ${assembled.message}`.slice(0, 512);
    return { kind: "Impossible", verdict: { ...found, message } };
  }
  const kind = isMissing && aside.length === 0 ? "Downloaded" : "Repaired";
  const why = kind === "Downloaded" ? "" : `: ${found.message}`;
  const verdict = await verifyCheckpoint(volume, checkpoint, signal === undefined ? {} : { signal });
  return { kind, verdict, message: `${kind} ${checkpoint.directory} from ${source}${why}` };
}
