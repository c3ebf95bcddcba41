import { Content } from "./content.ts";

/** What lies under a name of a disk. */
export type Inode = FileInode | DirectoryInode | LinkInode;

/** A change of names that happens whole or not at all. */
export type NameChange = Readonly<{ remove?: string; add?: readonly [name: string, inode: Inode] }>;

/** Who is told what changes in a directory. */
export type Watcher = Readonly<{
  /** Only changes from this node are told: no network file system tells those of another one. */
  node: string;
  tell: (event: WatchEvent, name: string) => void;
}>;

/** `rename`: a name came or went; `change`: the file under it has other bytes. */
export type WatchEvent = "rename" | "change";

/** A plain file. It lives on without a name as long as somebody has it open. */
export class FileInode {
  readonly kind = "file";
  readonly number: number;
  content = new Content();
  /** Names that the running system sees. */
  names = 0;
  /** Descriptors that are open. */
  handles = 0;
  mtimeMs: number;
  /** The node that took its last name away; null while it has one. */
  removedBy: string | null = null;

  constructor(number: number, mtimeMs: number) {
    this.number = number;
    this.mtimeMs = mtimeMs;
  }
}

/** A directory. Its names have a state of their own: what is seen is durable only after a sync of the directory. */
export class DirectoryInode {
  readonly kind = "directory";
  readonly number: number;
  readonly durable = new Map<string, Inode>();
  /** What the running system sees. */
  readonly seen = new Map<string, Inode>();
  readonly watchers = new Set<Watcher>();
  pending: NameChange[] = [];
  mtimeMs: number;

  constructor(number: number, mtimeMs: number) {
    this.number = number;
    this.mtimeMs = mtimeMs;
  }

  /** Changes its names, for now only as the running system sees them. */
  change(change: NameChange, nowMs: number): void {
    take(this.seen, change);
    this.pending.push(change);
    this.mtimeMs = nowMs;
  }

  sync(): void {
    for (const change of this.pending) take(this.durable, change);
    this.pending = [];
  }

  /** Its names after a power cut: `keeps` is asked once for each change that is not durable. */
  afterCut(keeps: () => boolean): Map<string, Inode> {
    const names = new Map(this.durable);
    for (const change of this.pending) if (keeps()) take(names, change);
    return names;
  }

  /** Everything that is named here in some state that a power cut may leave, in a fixed order. */
  everyChild(): Inode[] {
    const added = this.pending.flatMap(({ add }) => (add === undefined ? [] : [add[1]]));
    return [...this.durable.values(), ...this.seen.values(), ...added];
  }
}

/** A symbolic link. Where it leads is as durable as its name. */
export class LinkInode {
  readonly kind = "link";
  readonly number: number;
  readonly target: string;
  readonly mtimeMs: number;
  names = 0;

  constructor(number: number, { target, mtimeMs }: { target: string; mtimeMs: number }) {
    this.number = number;
    this.target = target;
    this.mtimeMs = mtimeMs;
  }
}

function take(names: Map<string, Inode>, { remove, add }: NameChange): void {
  if (remove !== undefined) names.delete(remove);
  if (add !== undefined) names.set(...add);
}
