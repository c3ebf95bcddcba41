import type { Disk } from "./disk.ts";
import type { Access, Effect } from "./faults.ts";
import { type Asked, FileError } from "./file-error.ts";
import type { DirectoryInode, Inode } from "./inode.ts";

/** A disk, or a directory of it, under a path of a process. */
export type Mount = Readonly<{
  /** Absolute; "/" for the process's root. */
  path: string;
  disk: Disk;
  /** A directory of the disk that is mounted in place of its root; made where it is absent. */
  below?: string;
  readOnly?: boolean;
}>;

/** A mount as it stands: after a power cut the disk has other inodes. */
type Mounted = { readonly mount: Mount; diskRoot: DirectoryInode; root: DirectoryInode };

/** An inode that a path has led to. */
export type Place = Readonly<{
  inode: Inode;
  /** Without links, as the process would name it. */
  path: string;
  /** From the root of its disk, "" for itself. */
  onDisk: string;
  disk: Disk;
  readOnly: boolean;
  isMount: boolean;
}>;

/** A directory, and what one name in it leads to: null where it leads to nothing. */
export type Located = Readonly<{ parent: Place & { inode: DirectoryInode }; name: string; found: Place | null }>;

/** How a path is looked up. */
export type Lookup = Readonly<{
  asked: Asked;
  path: string;
  /** Whether a link under the last name is followed. */
  follow: boolean;
  effect: Effect;
}>;

const maxLinks = 40;
const maxNameBytes = 255;

/** What paths lead to for the processes of one container: its mounts, and the links in them. */
export class Namespace {
  readonly node: string;
  readonly #mounts = new Map<string, Mounted>();

  /** There must be a mount at "/"; a mount point is made in whatever is mounted above it. */
  constructor(node: string, mounts: readonly Mount[]) {
    this.node = node;
    for (const mount of [...mounts].sort((a, b) => a.path.length - b.path.length)) {
      const { path, disk, below = "" } = mount;
      if (path !== "/") {
        const above = this.accessOf({ asked: { call: "mkdir", path }, path, effect: "grows" });
        makeDirectories(above.disk, above.path);
      }
      this.#mounts.set(path, { mount, diskRoot: disk.root, root: makeDirectories(disk, below) });
    }
  }

  /** Whether no disk here has a fault. */
  get isSound(): boolean {
    for (const { mount } of this.#mounts.values()) if (!mount.disk.faults.areNone) return false;
    return true;
  }

  /** The access that a path stands for, without following links: what a fault of a disk is matched with. */
  accessOf({ asked, path, effect }: Omit<Lookup, "follow">): Access & { disk: Disk } {
    let at = path;
    while (at !== "/" && !this.#mounts.has(at)) at = at.slice(0, at.lastIndexOf("/")) || "/";
    const { disk, below = "" } = this.#mounted(at).mount;
    return { disk, asked, path: joined(below, path.slice(at === "/" ? 1 : at.length + 1)), node: this.node, effect };
  }

  /** Follows a path to its end, as the kernel does. Throws what the disks it leads to refuse. */
  locate(lookup: Lookup): Located {
    const { asked, path, follow } = lookup;
    let trail: Place[] = [this.#root()];
    let names = segments(path);
    let links = 0;
    for (;;) {
      const name = names.shift();
      const parent = trail.at(-1) ?? this.#root();
      if (name === undefined) return this.#end(lookup, { parent: trail.at(-2) ?? parent, name: "", found: parent });
      this.#mustBeDirectory(lookup, parent);
      if (name === ".") continue;
      if (name === "..") {
        if (trail.length > 1) trail.pop();
        continue;
      }
      const isLast = names.length === 0;
      const next = this.#next(lookup, { parent, name });
      if (next === null) {
        if (isLast) return this.#end(lookup, { parent, name, found: null });
        this.#strike(lookup, parent, [name, ...names]);
        throw new FileError("ENOENT", asked);
      }
      if (next.inode.kind === "link" && (follow || !isLast)) {
        links += 1;
        if (links > maxLinks) throw new FileError("ELOOP", asked);
        names = [...segments(next.inode.target), ...names];
        if (next.inode.target.startsWith("/")) trail = [this.#root()];
        continue;
      }
      if (isLast) return this.#end(lookup, { parent, name, found: next });
      trail.push(next);
    }
  }

  /** What the path leads to. */
  find(lookup: Lookup): Place {
    const { found } = this.locate(lookup);
    if (found === null) throw new FileError("ENOENT", lookup.asked);
    return found;
  }

  #next(lookup: Lookup, { parent, name }: { parent: Place; name: string }): Place | null {
    if (name.length * 3 > maxNameBytes && new TextEncoder().encode(name).byteLength > maxNameBytes) {
      throw new FileError("ENAMETOOLONG", lookup.asked);
    }
    const path = pathBelow(parent, name);
    if (this.#mounts.has(path)) return placeOf(path, this.#mounted(path));
    const inode = parent.inode.kind === "directory" ? parent.inode.seen.get(name) : undefined;
    return inode === undefined ? null : childOf(parent, { name, inode });
  }

  /** The disk has its say before the answer. */
  #end(lookup: Lookup, { parent, name, found }: { parent: Place; name: string; found: Place | null }): Located {
    if (found === null) this.#strike(lookup, parent, [name]);
    else this.#strike(lookup, found, []);
    const { inode } = parent;
    if (inode.kind !== "directory") throw new FileError("ENOTDIR", lookup.asked);
    return { parent: { ...parent, inode }, name, found };
  }

  #mustBeDirectory(lookup: Lookup, place: Place): void {
    if (place.inode.kind === "directory") return;
    this.#strike(lookup, place, []);
    throw new FileError("ENOTDIR", lookup.asked);
  }

  #strike({ asked, effect }: Lookup, { disk, onDisk }: Place, rest: readonly string[]): void {
    if (disk.faults.areNone) return;
    disk.faults.strike({ asked, path: [onDisk, ...rest].filter(Boolean).join("/"), node: this.node, effect });
  }

  #root(): Place {
    return placeOf("/", this.#mounted("/"));
  }

  #mounted(path: string): Mounted {
    const mounted = this.#mounts.get(path);
    if (mounted === undefined) throw new Error(`Cannot look up paths because nothing is mounted at ${path}`);
    const { disk, below = "" } = mounted.mount;
    if (mounted.diskRoot !== disk.root) {
      mounted.diskRoot = disk.root;
      mounted.root = makeDirectories(disk, below);
    }
    return mounted;
  }
}

/** Makes a path of directories on a disk, durably, where it is absent; for who prepares a disk. */
function makeDirectories(disk: Disk, path: string): DirectoryInode {
  let at = disk.root;
  for (const name of segments(path)) {
    const found = at.seen.get(name);
    if (found !== undefined && found.kind !== "directory")
      throw new Error(`Cannot mount at ${path}: it is no directory`);
    const next = found ?? disk.makeDirectory({ call: "mkdir", path });
    if (found === undefined) {
      at.change({ add: [name, next] }, disk.clock());
      at.sync();
    }
    at = next;
  }
  return at;
}

/** The place of an inode under a name in a directory. */
export function childOf(parent: Place, { name, inode }: { name: string; inode: Inode }): Place {
  return { ...parent, inode, path: pathBelow(parent, name), onDisk: joined(parent.onDisk, name), isMount: false };
}

function pathBelow({ path }: Place, name: string): string {
  return path === "/" ? `/${name}` : `${path}/${name}`;
}

function placeOf(path: string, { mount: { disk, below = "", readOnly = false }, root }: Mounted): Place {
  return { inode: root, path, onDisk: below, disk, readOnly, isMount: true };
}

function segments(path: string): string[] {
  return path.split("/").filter(Boolean);
}

function joined(prefix: string, rest: string): string {
  return prefix === "" || rest === "" ? `${prefix}${rest}` : `${prefix}/${rest}`;
}
