import type { Digest } from "../contract/digest.ts";
import { parseSettlingName } from "../directory-name.ts";
import { StorageUnavailableError, type Store, type StoredCheckpoint } from "../store/store.ts";
import { type Verdict, verifyCheckpoint } from "../verify.ts";
import { assembleCheckpoint } from "./assemble.ts";
import { readStoredManifest } from "./stored-manifest.ts";

/** A verdict that says what is wrong. */
export type FailedVerdict = Extract<Verdict, { ok: false }>;

type WholeVerdict = Extract<Verdict, { ok: true }>;

/**
 * What became of a copy that did not verify. `Repaired`, `Downloaded`: a whole one has its place. `WholeByNow`: it was left,
 * because by then it matched. `NotKept`: so was it because what was assembled of other copies did not verify on the volume
 * either, as `verdict` says. `Impossible`: no copy that there is helps, and `verdict` is the one that was found, with more words.
 */
export type Mending =
  | Readonly<{ kind: "Repaired" | "Downloaded"; verdict: WholeVerdict; message: string }>
  | Readonly<{ kind: "WholeByNow"; verdict: WholeVerdict }>
  | Readonly<{ kind: "NotKept"; verdict: FailedVerdict; message: string }>
  | Readonly<{ kind: "Impossible"; verdict: FailedVerdict }>;

/** Who may object, by an error, which is thrown on. */
export type MendingGate = Readonly<{
  /** Asked before anything is written, once there is something to mend it with. */
  mayBegin(): Promise<void>;
  /** Asked right before the copy takes its place: making it may have taken long. */
  mayPublish(): Promise<void>;
}>;

type Options = Readonly<{
  volume: Store;
  objectStore: Store | null;
  checkpoint: Readonly<{ directory: string; digest: Digest }>;
  /** What is wrong with the volume's copy. */
  found: FailedVerdict;
  gate?: MendingGate | undefined;
  signal?: AbortSignal | undefined;
}>;

/**
 * Puts a whole copy of a checkpoint on the volume where what lies there does not verify: mended with chunks of what a
 * repair left aside or of the object store's, or downloaded. It is tried twice before no copy helps: an error that a
 * device answers once may have been all that was in the way. Throws where a tier itself fails, or aborted.
 *
 *     assemble aside ─► read that back ─► read the one in the place again ─► may it be? ─► take its place
 *                         └ differs: NotKept   └ matches: WholeByNow           └ throws: all stays as it was
 */
export async function mendCheckpoint(options: Options): Promise<Mending> {
  const mending = await mendOnce(options);
  return mending.kind === "Impossible" && mending.verdict !== options.found ? mendOnce(options) : mending;
}

/** Where a whole copy may come from. */
type Sources = Readonly<{ aside: readonly StoredCheckpoint[]; stores: readonly Store[]; words: string }>;

/** The verdicts on the copy that was made, and on the one in its place by then; absent where it did not come so far. */
type Looks = { made?: Verdict; present?: Verdict };

async function mendOnce(options: Options): Promise<Mending> {
  const { volume, checkpoint, found, gate, signal } = options;
  const { aside, stores, words } = await sourcesOf(options);
  if (words === "") return { kind: "Impossible", verdict: found };
  // All that matches of a copy would be written only to find that the rest is nowhere.
  if (aside.length + stores.length === 0) return helpless(options, `${words} does not help: it does not have it`);
  await gate?.mayBegin();
  const looks: Looks = {};
  const assembled = await assembleCheckpoint({
    to: volume,
    from: [...(found.reason === "Missing" ? [] : [volume]), ...stores],
    aside,
    checkpoint,
    signal,
    confirm: (copy) => mayTakePlace(copy, looks, options),
  });
  const { made, present } = looks;
  if (present?.ok) return { kind: "WholeByNow", verdict: present };
  const kind = found.reason === "Missing" && aside.length === 0 ? "Downloaded" : "Repaired";
  const why = kind === "Downloaded" ? "" : `: ${found.message}`;
  if (made?.ok === false) {
    const message = `What ${words} gave for ${checkpoint.directory} does not verify on the volume, and took no place${why}`;
    return { kind: "NotKept", verdict: made, message };
  }
  if (assembled.kind !== "assembled") return helpless(options, `${words} does not help: ${assembled.message}`);
  if (made === undefined) throw new Error(`Cannot mend ${checkpoint.directory} because nothing read the copy back`);
  return { kind, verdict: made, message: `${kind} ${checkpoint.directory} from ${words}${why}` };
}

async function mayTakePlace(copy: StoredCheckpoint, looks: Looks, options: Options): Promise<boolean> {
  const { volume, checkpoint, gate } = options;
  const made = await verifyCopy(copy, options);
  if (!made.ok && made.reason === "Missing") {
    throw new StorageUnavailableError(
      `Cannot mend ${checkpoint.directory} because the copy was taken away: ${made.message}`,
    );
  }
  looks.made = made;
  if (!made.ok) return false;
  looks.present = await verifyCopy(volume.checkpoint(checkpoint.directory), options);
  if (looks.present.ok) return false;
  await gate?.mayPublish();
  return true;
}

async function sourcesOf({ volume, objectStore, checkpoint }: Options): Promise<Sources> {
  const names = (await volume.names()).filter((name) => parseSettlingName(name) === checkpoint.directory);
  const isThere =
    objectStore !== null && (await hasSome(objectStore.checkpoint(checkpoint.directory), checkpoint.digest));
  const words = [
    ...(names.length === 0 ? [] : ["what a repair left aside"]),
    ...(objectStore === null ? [] : ["the object store"]),
  ].join(" and ");
  return { aside: names.map((name) => volume.checkpoint(name)), stores: isThere ? [objectStore] : [], words };
}

/** A listing may lag behind, and a copy without its manifest may have the bytes that are wanted. */
async function hasSome(copy: StoredCheckpoint, digest: Digest): Promise<boolean> {
  return (await readStoredManifest(copy, digest)) !== null || (await copy.entries(1)) !== null;
}

/** Its own words stand first: they tell what is wrong with the copy that a person will look at. */
function helpless({ found }: Options, because: string): Mending {
  return { kind: "Impossible", verdict: { ...found, message: `${found.message}; ${because}`.slice(0, 512) } };
}

/** The verdict on a copy of it, wherever that lies. */
function verifyCopy(copy: StoredCheckpoint, { volume, checkpoint, signal }: Options): Promise<Verdict> {
  const shelf = { runUid: volume.runUid, checkpoint: () => copy };
  return verifyCheckpoint(shelf, checkpoint, signal === undefined ? {} : { signal });
}
