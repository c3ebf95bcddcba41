import { sectorBytes } from "../../../../checkpoint/test/power-loss/disk.ts";
import type { Disk } from "./disk.ts";
import type { Access, Effect } from "./faults.ts";
import { type Asked, type FileCall, FileError } from "./file-error.ts";
import type { DirectoryInode, FileInode } from "./inode.ts";
import type { Place } from "./namespace.ts";

/** How a file is opened, from the flags of `open`. */
export type OpenMode = Readonly<{
  read: boolean;
  write: boolean;
  create?: boolean;
  exclusive?: boolean;
  truncate?: boolean;
  append?: boolean;
  directory?: boolean;
  noFollow?: boolean;
  /** Past the page cache. */
  direct?: boolean;
}>;

/** What `stat` tells of an inode. */
export type Facts = Readonly<{
  kind: "file" | "directory" | "link";
  size: number;
  dev: number;
  ino: number;
  mtimeMs: number;
}>;

/** A descriptor: of a file, which lives on under it when its name is gone, or of a directory. */
export class OpenFile {
  readonly #inode: FileInode | DirectoryInode;
  readonly #place: Place;
  readonly #parent: DirectoryInode;
  readonly #mode: OpenMode;
  readonly #node: string;
  #position = 0;
  #isOpen = true;

  constructor(
    inode: FileInode | DirectoryInode,
    { place, parent, mode, node }: { place: Place; parent: DirectoryInode; mode: OpenMode; node: string },
  ) {
    this.#inode = inode;
    this.#place = place;
    this.#parent = parent;
    this.#mode = mode;
    this.#node = node;
    if (inode.kind === "file") inode.handles += 1;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get disk(): Disk {
    return this.#place.disk;
  }

  /** What a fault of the disk is matched with. */
  accessFor(call: FileCall, effect: Effect): Access {
    return { asked: { call }, path: this.#place.onDisk, node: this.#node, effect };
  }

  /** Fills the target from a position on, or, where that is null, from where the last such read ended. */
  read(target: Uint8Array, position: number | null): number {
    const asked = this.#reach("read", "reads");
    if (!this.#mode.read) throw new FileError("EBADF", asked);
    const file = this.#file(asked);
    const at = position ?? this.#position;
    if (this.#mode.direct) mustBeAligned([at, target.byteLength], asked);
    const bytes = this.#mode.direct ? file.content.onDevice : file.content.seen;
    const piece = bytes.subarray(Math.min(at, bytes.byteLength), at + target.byteLength);
    target.set(piece);
    if (position === null) this.#position += piece.byteLength;
    return piece.byteLength;
  }

  /** Writes at a position, or where the last such write ended; says how many bytes there was room for. */
  write(bytes: Uint8Array, position: number | null): number {
    const asked = this.#reach("write", "grows");
    if (!this.#mode.write) throw new FileError("EBADF", asked);
    const file = this.#file(asked);
    const offset = this.#mode.append ? file.content.size : (position ?? this.#position);
    if (this.#mode.direct) mustBeAligned([offset, bytes.byteLength], asked);
    const written = this.disk.write(file, { bytes, offset, asked });
    if (position === null) this.#position = offset + written;
    this.#changed();
    return written;
  }

  truncate(size: number): void {
    const asked = this.#reach("ftruncate", "grows");
    if (!this.#mode.write) throw new FileError("EINVAL", asked);
    this.disk.resize(this.#file(asked), { size, asked });
    this.#changed();
  }

  /**
   * Makes durable what was written, or the names in the directory. Where that fails the pages of a file count as clean
   * all the same, as on Linux: a second sync says that all is well, and the bytes never reach the device.
   */
  sync(): void {
    const inode = this.#inode;
    try {
      this.#reach("fsync", "reads");
    } catch (error) {
      if (inode.kind === "file" && this.#isOpen) inode.content.dropPending();
      throw error;
    }
    if (inode.kind === "file") inode.content.sync();
    else inode.sync();
  }

  stat(): Facts {
    this.#reach("fstat", "reads");
    return factsOf({ ...this.#place, inode: this.#inode });
  }

  chmod(): void {
    const asked = this.#reach("fchmod", "changes");
    if (!this.disk.has.modes) throw new FileError("EPERM", asked);
    this.#changed();
  }

  /** Closes it, whatever the disk says to that; closing it again changes nothing. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    if (this.#inode.kind === "file") {
      this.#inode.handles -= 1;
      this.disk.letGo(this.#inode);
    }
    this.disk.faults.strike(this.accessFor("close", "reads"));
  }

  #reach(call: FileCall, effect: Effect): Asked {
    const access = this.accessFor(call, effect);
    if (!this.#isOpen) throw new FileError("EBADF", access.asked);
    this.disk.faults.strike(access);
    const removedBy = this.#inode.kind === "file" ? this.#inode.removedBy : null;
    if (this.disk.kind === "Network" && removedBy !== null && removedBy !== this.#node) {
      throw new FileError("ESTALE", access.asked);
    }
    return access.asked;
  }

  #file(asked: Asked): FileInode {
    if (this.#inode.kind === "file") return this.#inode;
    throw new FileError("EISDIR", asked);
  }

  #changed(): void {
    const name = this.#place.onDisk.slice(this.#place.onDisk.lastIndexOf("/") + 1);
    this.disk.tell(this.#parent, { event: "change", name, node: this.#node });
  }
}

/** What `stat` tells of a place. */
export function factsOf({ inode, disk }: Pick<Place, "inode" | "disk">): Facts {
  const size = inode.kind === "file" ? inode.content.size : inode.kind === "link" ? byteLength(inode.target) : 0;
  return { kind: inode.kind, size, dev: disk.device, ino: inode.number, mtimeMs: inode.mtimeMs };
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).byteLength;
}

function mustBeAligned(numbers: readonly number[], asked: Asked): void {
  if (numbers.some((number) => number % sectorBytes !== 0)) throw new FileError("EINVAL", asked);
}
