import type { Tier } from "../contract/digest.ts";
import type { CheckpointRef } from "../log/state.ts";

/** A tier could not be read or written at all. It is not an empty tier: nothing may be concluded from it. */
export class StorageUnavailableError extends Error {
  override readonly name = "StorageUnavailableError";
  /** What is wrong with it, as a stable word, where that is known. */
  readonly problem: string | null = null;
}

/** One file's bytes cannot be read although the tier can: a defect of that file. */
export class DamagedFileError extends Error {
  override readonly name = "DamagedFileError";
}

/** An `open` of that attempt may stand under that number. */
export type AnnouncedOpen = Readonly<{ number: number; attempt: number }>;

/** Stable names by which people and their tools find a checkpoint. */
export type CheckpointName = "latest" | "best";

/** What lies under a name of a checkpoint: only plain files are accepted. */
export type StoredEntry = Readonly<{
  path: string;
  kind: "file" | "directory" | "other";
  /** Its size, where a listing of the tier says so. */
  bytes?: number;
}>;

/** A file of a stored checkpoint, open for reading. */
export interface StoredFile extends AsyncDisposable {
  readonly bytes: number;
  /** Why some of what was read from the `Device` may come from this machine's memory after all; absent where none does. */
  readonly cached?: string | undefined;
  /** Fills `target` from `position` on; fewer bytes than asked for only at the end of the file. */
  read(target: Uint8Array, position: number): Promise<number>;
}

/** `Device`: past this machine's page cache where the tier can, for readers of whole pages. `Anywhere`: what is quickest. */
export type ReadFrom = "Device" | "Anywhere";

/** A complete checkpoint, or what is left of one. */
export interface StoredCheckpoint {
  /** Everything under it; null where the checkpoint is not there at all. At most `limit` entries are listed. */
  entries(limit: number): Promise<StoredEntry[] | null>;
  /** Opens a plain file without following links; null where there is none of that name. */
  open(path: string, from?: ReadFrom): Promise<StoredFile | null>;
  /** Where a person or another program finds it. */
  readonly location: string;
}

/** What becomes of a copy that has the final name already, and who is asked before another one has it. */
export type Publishing = Readonly<{
  replace: boolean;
  confirm?: ((copy: StoredCheckpoint) => Promise<void>) | undefined;
}>;

/** A checkpoint on its way in: invisible to readers until `publish` has returned. */
export interface CheckpointWriter {
  /**
   * Writes one new file and makes it durable; several may be on their way at once. The pieces are valid only until the next is asked for, but for those that
   * the writer holds (see `hold`). Where its size in bytes is known beforehand, a tier may choose better how to send it.
   */
  write(path: string, pieces: AsyncIterable<Uint8Array>, bytes?: number): Promise<void>;
  /**
   * Writes the manifest, makes all names durable, and gives the checkpoint its final name, durably. With `replace` a
   * copy that has the name already, a damaged one, makes way at the last moment; without, it is an error. Throws
   * {@link DamagedFileError} where that copy is so damaged that it cannot make way. On a volume `confirm` is asked when
   * the new copy is whole and durable and nobody reads it yet: what that throws is thrown, and all stays as it was.
   */
  publish(manifest: Uint8Array, options?: Publishing): Promise<void>;
  /**
   * Removes what was written, as far as that works, and nothing once it may have its final name: then others may rely on
   * it. Never throws; no file is written or synced again.
   */
  abandon(): Promise<void>;
}

/**
 * Where the workers of a gang bring what each has saved of a step, until all of it is there. Whatever is in it, readers of
 * checkpoints see none.
 */
export interface ShardStore {
  /** Begins a worker's shard in the place of what an earlier try of it left. Its seal is what it is published with. */
  begin(place: Readonly<{ step: number; attempt: number; worker: number }>): Promise<CheckpointWriter>;
  /** The seals by worker: where one is, every byte of that shard and all its names are durable. */
  seals(place: Readonly<{ step: number; attempt: number }>): Promise<Map<number, Uint8Array>>;
  /**
   * Gives all that was brought together the checkpoint's final name, with this manifest, durably. For whoever found every
   * seal; where another process has done the same meanwhile, nothing is left to do. `gone`: only the seals are there.
   */
  publish(place: Readonly<{ step: number; attempt: number }>, manifest: Uint8Array): Promise<"published" | "gone">;
}

/** Room that is kept back, so that a full tier has some left for the tombstone that makes room. */
export interface Reserve {
  /** Takes it where it is not taken yet and there is some. Never throws for what the tier refuses. */
  keep(): Promise<void>;
  /** Gives it back; false where there was none, or none could be given back. */
  release(): Promise<boolean>;
}

/**
 * One tier of a run: its log and its checkpoints. Every method throws {@link StorageUnavailableError} where the tier
 * itself fails, and returns only after what it says is durable.
 */
export interface Store {
  readonly tier: Tier;
  readonly runUid: string;
  /** Absent where a tier has no such bounds. */
  readonly reserve?: Reserve;
  /** Absent where workers cannot save together. */
  readonly shards?: ShardStore;
  /** Numbers of the log's records, ascending. */
  recordNumbers(): Promise<number[]>;
  /** The bytes of a record, null where the number is free. At most `limit` bytes and one more are read. */
  readRecord(number: number, limit: number): Promise<Uint8Array | null>;
  /** Creates a record under a free number, whole or not at all. `taken` is said too when an own reply was lost. */
  createRecord(number: number, bytes: Uint8Array): Promise<"created" | "taken">;
  /**
   * Writes the same bytes anew in the place of a record that stands, durably. Whoever relies on a record whose sync it
   * has not seen succeed asks for this: after a failed sync, another one may succeed without the bytes.
   */
  rewriteRecord(number: number, bytes: Uint8Array): Promise<void>;
  /** Makes it durable, before the record is created, that it will be an `open` of this attempt: read where it is lost. */
  announceOpen(open: AnnouncedOpen): Promise<void>;
  /** Every announcement that is left; those of numbers whose record is whole mean nothing. */
  announcedOpens(): Promise<AnnouncedOpen[]>;
  /** Removes records and the announcements up to them, lowest first, each durably before the next. */
  removeRecords(ascending: readonly number[]): Promise<void>;
  /** Names of everything under `data/`: complete checkpoints, and leftovers whose names begin with a dot. */
  names(): Promise<string[]>;
  checkpoint(directory: string): StoredCheckpoint;
  /** Begins a checkpoint for one step of one attempt. */
  begin(place: Readonly<{ step: number; attempt: number }>): Promise<CheckpointWriter>;
  /**
   * Gives a complete directory its name anew, durably: its writer's sync may have failed, or an earlier settling been cut
   * off. Not for one that is committed and has its name: a reader would miss it for a moment.
   */
  settle(directory: string): Promise<void>;
  /** Makes a name for people lead to a checkpoint, or to none, in one step. No reader of ours follows it. */
  point(name: CheckpointName, to: CheckpointRef | null): Promise<void>;
  /** Removes what appenders and openers left that are surely dead. */
  removeTemporaries(): Promise<void>;
  /** Takes a name out of `data/` at once and durably, then removes its bytes. A missing name is fine. */
  remove(name: string): Promise<void>;
}
