import { DiskFaults } from "./faults.ts";
import { type Asked, FileError } from "./file-error.ts";
import { DirectoryInode, FileInode, type Inode, LinkInode, type NameChange, type WatchEvent } from "./inode.ts";

/** What a file system gives room in. */
const blockBytes = 4096;

/** What kind of disk it is. */
export type DiskOptions = Readonly<{
  /** As `Stats.dev` gives it: another one for every disk. */
  device: number;
  /** The disk's own clock, in milliseconds since 1970. */
  clock: () => number;
  /** `Network`: several nodes see it, and a file that another node removed is a stale handle. */
  kind?: "Local" | "Network";
  /** Whether files open with O_DIRECT. */
  takesDirect?: boolean;
  /** Some network file systems have neither, and refuse modes. */
  has?: Readonly<{ hardLinks?: boolean; symbolicLinks?: boolean; modes?: boolean }>;
  /** Bytes and inodes that fit, and what is answered beyond them. */
  room?: Readonly<{ bytes: number; inodes: number; beyond?: "ENOSPC" | "EDQUOT" }>;
}>;

const endless = { bytes: 2 ** 40, inodes: 2 ** 24, beyond: "ENOSPC" } as const;

/** One file system: its inodes, how much room they take, and the faults it has at present. */
export class Disk {
  readonly device: number;
  readonly kind: "Local" | "Network";
  readonly takesDirect: boolean;
  readonly has: Readonly<{ hardLinks: boolean; symbolicLinks: boolean; modes: boolean }>;
  readonly clock: () => number;
  readonly faults = new DiskFaults();
  root: DirectoryInode;
  /** May be changed while it is in use, as an administrator does. */
  room: Readonly<{ bytes: number; inodes: number; beyond: "ENOSPC" | "EDQUOT" }>;
  #nextNumber = 2;
  #blocks = 0;
  #inodes = 0;

  constructor({ device, clock, kind = "Local", takesDirect = true, has = {}, room }: DiskOptions) {
    this.device = device;
    this.clock = clock;
    this.kind = kind;
    this.takesDirect = takesDirect;
    this.has = { hardLinks: true, symbolicLinks: true, modes: true, ...has };
    this.room = { ...endless, ...room };
    this.root = new DirectoryInode(1, clock());
    this.#take({ blocks: 1, inodes: 1 });
  }

  /** Room as `statfs` tells it, in blocks. */
  get space(): Readonly<{ bsize: number; blocks: number; bavail: number }> {
    const blocks = Math.floor(this.room.bytes / blockBytes);
    return { bsize: blockBytes, blocks, bavail: Math.max(0, blocks - this.#blocks) };
  }

  makeFile(asked: Asked): FileInode {
    this.#need({ blocks: 0, inodes: 1 }, asked);
    return new FileInode(this.#number(), this.clock());
  }

  makeDirectory(asked: Asked): DirectoryInode {
    this.#need({ blocks: 1, inodes: 1 }, asked);
    return new DirectoryInode(this.#number(), this.clock());
  }

  makeLink(target: string, asked: Asked): LinkInode {
    this.#need({ blocks: 0, inodes: 1 }, asked);
    return new LinkInode(this.#number(), { target, mtimeMs: this.clock() });
  }

  /** Changes the names in a directory, and tells who watches it. */
  rename(directory: DirectoryInode, change: NameChange, node: string): void {
    const replaced = change.add === undefined ? undefined : directory.seen.get(change.add[0]);
    const removed = change.remove === undefined ? undefined : directory.seen.get(change.remove);
    if (change.add !== undefined && change.add[1].kind !== "directory") change.add[1].names += 1;
    directory.change(change, this.clock());
    for (const inode of [removed, replaced]) if (inode !== undefined) this.#lostName(inode, node);
    for (const name of [change.remove, change.add?.[0]]) {
      if (name !== undefined) this.tell(directory, { event: "rename", name, node });
    }
  }

  /** Gives back the room of a directory that has lost its name for good. */
  letGoOfDirectory(): void {
    this.#give({ blocks: 1, inodes: 1 });
  }

  /** Tells who watches a directory, unless a fault keeps it silent. */
  tell(directory: DirectoryInode, { event, name, node }: { event: WatchEvent; name: string; node: string }): void {
    for (const watcher of directory.watchers) {
      if (watcher.node !== node) continue;
      const access = { asked: { call: "watch" }, path: name, node, effect: "reads" } as const;
      if (!this.faults.silences(access)) watcher.tell(event, name);
    }
  }

  /** Writes what fits and says how many bytes that were. */
  write(file: FileInode, { bytes, offset, asked }: { bytes: Uint8Array; offset: number; asked: Asked }): number {
    const held = blocksOf(file.content.size);
    const free = Math.max(0, this.space.bavail);
    const fitting = Math.min(bytes.byteLength, (held + free) * blockBytes - offset);
    if (fitting <= 0 && bytes.byteLength > 0) throw new FileError(this.room.beyond, asked);
    file.content.write(bytes.subarray(0, fitting), offset);
    this.#take({ blocks: blocksOf(file.content.size) - held, inodes: 0 });
    file.mtimeMs = this.clock();
    return fitting;
  }

  resize(file: FileInode, { size, asked }: { size: number; asked: Asked }): void {
    const grown = blocksOf(size) - blocksOf(file.content.size);
    this.#need({ blocks: grown, inodes: 0 }, asked);
    if (size !== file.content.size) file.content.resize(size);
    file.mtimeMs = this.clock();
  }

  /** Gives back the room of a file that has no name any more and that nobody has open. */
  letGo(file: FileInode): void {
    if (file.names === 0 && file.handles === 0) this.#give({ blocks: blocksOf(file.content.size), inodes: 1 });
  }

  /** Puts another tree in place of all that is there, as a power cut does, or who prepares a disk. */
  replaceRoot(root: DirectoryInode): void {
    this.root = root;
    this.#blocks = 0;
    this.#inodes = 0;
    const counted = new Set<Inode>([root]);
    for (const inode of counted) {
      this.#take({ blocks: blocksOfInode(inode), inodes: 1 });
      if (inode.kind === "directory") for (const child of inode.seen.values()) counted.add(child);
    }
  }

  /** Makes everything durable, as the system does by itself every half a minute. */
  writeBack(): void {
    const reached = new Set<Inode>([this.root]);
    for (const inode of reached) {
      if (inode.kind === "file") inode.content.sync();
      if (inode.kind !== "directory") continue;
      inode.sync();
      for (const child of inode.seen.values()) reached.add(child);
    }
  }

  #lostName(inode: Inode, node: string): void {
    if (inode.kind === "directory") return;
    inode.names -= 1;
    if (inode.names > 0) return;
    if (inode.kind === "link") {
      this.#give({ blocks: 0, inodes: 1 });
    } else {
      inode.removedBy = node;
      this.letGo(inode);
    }
  }

  #number(): number {
    this.#nextNumber += 1;
    return this.#nextNumber;
  }

  #need(wanted: Readonly<{ blocks: number; inodes: number }>, asked: Asked): void {
    const lacksBlocks = wanted.blocks > 0 && wanted.blocks > this.space.bavail;
    if (lacksBlocks || this.#inodes + wanted.inodes > this.room.inodes) {
      throw new FileError(this.room.beyond, asked);
    }
    this.#take(wanted);
  }

  #take({ blocks, inodes }: Readonly<{ blocks: number; inodes: number }>): void {
    this.#blocks += blocks;
    this.#inodes += inodes;
  }

  #give({ blocks, inodes }: Readonly<{ blocks: number; inodes: number }>): void {
    this.#take({ blocks: -blocks, inodes: -inodes });
  }
}

function blocksOf(bytes: number): number {
  return Math.ceil(bytes / blockBytes);
}

function blocksOfInode(inode: Inode): number {
  if (inode.kind === "directory") return 1;
  return inode.kind === "file" ? blocksOf(inode.content.size) : 0;
}
