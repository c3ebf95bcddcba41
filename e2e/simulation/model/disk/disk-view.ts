import type { Disk } from "./disk.ts";
import { type Asked, type FileCall, FileError } from "./file-error.ts";
import type { DirectoryInode, FileInode, NameChange, Watcher } from "./inode.ts";
import { childOf, type Located, type Mount, Namespace, type Place } from "./namespace.ts";
import { type Facts, factsOf, OpenFile, type OpenMode } from "./open-file.ts";

/** A name in a directory. */
export type Entry = Readonly<{ name: string; kind: Facts["kind"] }>;

/**
 * The disks as one process has them: each method is one system call, done at once and whole, with the errors of Linux in
 * Linux's order. What a process has open ends with it, see {@link DiskView.end}.
 */
export class DiskView {
  readonly node: string;
  readonly #namespace: Namespace;
  readonly #open = new Set<OpenFile>();
  readonly #watched = new Map<Watcher, DirectoryInode>();

  constructor(options: { node: string; mounts: readonly Mount[] }) {
    this.node = options.node;
    this.#namespace = new Namespace(options.node, options.mounts);
  }

  /** How long the disk makes a call wait, in milliseconds. */
  slowness(call: FileCall, path: string): number {
    if (this.#namespace.isSound) return 0;
    const access = this.#namespace.accessOf({ asked: { call, path }, path, effect: "reads" });
    return access.disk.faults.slowness(access);
  }

  open(path: string, mode: OpenMode): OpenFile {
    const asked = { call: "open", path } as const;
    const follow = !mode.noFollow && !mode.exclusive;
    const effect = mode.create ? "grows" : mode.write ? "changes" : "reads";
    const located = this.#namespace.locate({ asked, path, follow, effect });
    const found = located.found ?? this.#create(located, { asked, mode });
    const inode = this.#openable(found, { asked, mode, isNew: located.found === null });
    if (mode.direct && !found.disk.takesDirect) throw new FileError("EINVAL", asked);
    if (mode.truncate && inode.kind === "file" && inode.content.size > 0) found.disk.resize(inode, { size: 0, asked });
    const file = new OpenFile(inode, { place: found, parent: located.parent.inode, mode, node: this.node });
    this.#open.add(file);
    return file;
  }

  close(file: OpenFile): void {
    this.#open.delete(file);
    file.close();
  }

  lstat(path: string): Facts {
    return factsOf(this.#namespace.find({ asked: { call: "lstat", path }, path, follow: false, effect: "reads" }));
  }

  stat(path: string): Facts {
    return factsOf(this.#namespace.find({ asked: { call: "stat", path }, path, follow: true, effect: "reads" }));
  }

  statfs(path: string): Disk["space"] {
    return this.#namespace.find({ asked: { call: "statfs", path }, path, follow: true, effect: "reads" }).disk.space;
  }

  readdir(path: string): Entry[] {
    const asked = { call: "scandir", path } as const;
    const { inode } = this.#namespace.find({ asked, path, follow: true, effect: "reads" });
    if (inode.kind !== "directory") throw new FileError("ENOTDIR", asked);
    return [...inode.seen].map(([name, { kind }]) => ({ name, kind }));
  }

  readlink(path: string): string {
    const asked = { call: "readlink", path } as const;
    const { inode } = this.#namespace.find({ asked, path, follow: false, effect: "reads" });
    if (inode.kind !== "link") throw new FileError("EINVAL", asked);
    return inode.target;
  }

  realpath(path: string): string {
    return this.#namespace.find({ asked: { call: "realpath", path }, path, follow: true, effect: "reads" }).path;
  }

  chmod(path: string): void {
    const asked = { call: "chmod", path } as const;
    const place = this.#namespace.find({ asked, path, follow: true, effect: "changes" });
    mustBeWritable(place, asked);
    if (!place.disk.has.modes) throw new FileError("EPERM", asked);
  }

  mkdir(path: string): void {
    const asked = { call: "mkdir", path } as const;
    const parent = this.#vacant(path, asked);
    this.#rename(parent, { add: [parent.name, parent.disk.makeDirectory(asked)] });
  }

  symlink(target: string, path: string): void {
    const asked = { call: "symlink", path: target, dest: path } as const;
    if (target === "") throw new FileError("ENOENT", asked);
    const parent = this.#vacant(path, asked);
    if (!parent.disk.has.symbolicLinks) throw new FileError("EPERM", asked);
    this.#rename(parent, { add: [parent.name, parent.disk.makeLink(target, asked)] });
  }

  link(from: string, to: string): void {
    const asked = { call: "link", path: from, dest: to } as const;
    const { inode, disk } = this.#namespace.find({ asked, path: from, follow: false, effect: "reads" });
    const parent = this.#vacant(to, asked);
    if (parent.disk !== disk) throw new FileError("EXDEV", asked);
    if (inode.kind === "directory" || !disk.has.hardLinks) throw new FileError("EPERM", asked);
    this.#rename(parent, { add: [parent.name, inode] });
  }

  unlink(path: string): void {
    const asked = { call: "unlink", path } as const;
    const { parent, name, found } = this.#existing(path, asked);
    if (found.inode.kind === "directory") throw new FileError("EISDIR", asked);
    parent.disk.rename(parent.inode, { remove: name }, this.node);
  }

  rmdir(path: string): void {
    const asked = { call: "rmdir", path } as const;
    const { parent, name, found } = this.#existing(path, asked);
    if (found.isMount) throw new FileError("EBUSY", asked);
    if (found.inode.kind !== "directory") throw new FileError("ENOTDIR", asked);
    if (found.inode.seen.size > 0) throw new FileError("ENOTEMPTY", asked);
    parent.disk.rename(parent.inode, { remove: name }, this.node);
    parent.disk.letGoOfDirectory();
  }

  rename(from: string, to: string): void {
    const asked = { call: "rename", path: from, dest: to } as const;
    const source = this.#namespace.locate({ asked, path: from, follow: false, effect: "changes" });
    const target = this.#namespace.locate({ asked, path: to, follow: false, effect: "changes" });
    if (source.parent.disk !== target.parent.disk) throw new FileError("EXDEV", asked);
    mustBeWritable(source.parent, asked);
    const moved = source.found;
    if (moved === null) throw new FileError("ENOENT", asked);
    if (moved.isMount || target.found?.isMount) throw new FileError("EBUSY", asked);
    if (isBelow(target.parent.onDisk, moved.onDisk)) throw new FileError("EINVAL", asked);
    if (target.found !== null && isBelow(source.parent.onDisk, target.found.onDisk)) {
      throw new FileError("ENOTEMPTY", asked);
    }
    const replaced = target.found?.inode;
    if (replaced === moved.inode) return;
    if (replaced !== undefined) mayReplace(moved, replaced.kind, asked);
    if (replaced?.kind === "directory") {
      if (replaced.seen.size > 0) throw new FileError("ENOTEMPTY", asked);
      source.parent.disk.letGoOfDirectory();
    }
    this.#move({ from: source, to: target, moved });
  }

  /** Tells what this node changes in a directory, until the function returned is called. */
  watch(path: string, tell: Watcher["tell"]): () => void {
    const asked = { call: "watch", path } as const;
    const { inode } = this.#namespace.find({ asked, path, follow: true, effect: "reads" });
    if (inode.kind !== "directory") throw new Error(`Cannot watch ${path}: the model watches directories only`);
    const watcher = { node: this.node, tell };
    inode.watchers.add(watcher);
    this.#watched.set(watcher, inode);
    return () => {
      inode.watchers.delete(watcher);
      this.#watched.delete(watcher);
    };
  }

  /** What the kernel does when the process is gone: closes its files, and lets go of those without a name. */
  end(): void {
    for (const file of this.#open) {
      try {
        file.close();
      } catch (error) {
        // Nobody is left to be told.
        if (!(error instanceof FileError)) throw error;
      }
    }
    this.#open.clear();
    for (const [watcher, directory] of this.#watched) directory.watchers.delete(watcher);
    this.#watched.clear();
  }

  #create({ parent, name }: Located, { asked, mode }: { asked: Asked; mode: OpenMode }): Place {
    if (!mode.create) throw new FileError("ENOENT", asked);
    mustBeWritable(parent, asked);
    const inode = parent.disk.makeFile(asked);
    this.#rename({ ...parent, name }, { add: [name, inode] });
    return childOf(parent, { name, inode });
  }

  #openable(place: Place, { asked, mode, isNew }: { asked: Asked; mode: OpenMode; isNew: boolean }) {
    const { inode } = place;
    if (mode.create && mode.exclusive && !isNew) throw new FileError("EEXIST", asked);
    if (inode.kind === "directory" && mode.create) throw new FileError("EISDIR", asked);
    if (inode.kind !== "directory" && mode.directory) throw new FileError("ENOTDIR", asked);
    if (inode.kind === "link") throw new FileError("ELOOP", asked);
    if (inode.kind === "directory" && mode.write) throw new FileError("EISDIR", asked);
    if (mode.write) mustBeWritable(place, asked);
    return inode satisfies FileInode | DirectoryInode;
  }

  /** The parent of a name that is to be made. */
  #vacant(path: string, asked: Asked): Parent {
    const { parent, name, found } = this.#namespace.locate({ asked, path, follow: false, effect: "grows" });
    if (found !== null) throw new FileError("EEXIST", asked);
    mustBeWritable(parent, asked);
    return { ...parent, name };
  }

  /** A name that is to go. */
  #existing(path: string, asked: Asked): Located & { found: Place } {
    const { parent, name, found } = this.#namespace.locate({ asked, path, follow: false, effect: "changes" });
    mustBeWritable(parent, asked);
    if (found === null) throw new FileError("ENOENT", asked);
    return { parent, name, found };
  }

  #rename(parent: Parent, change: NameChange): void {
    parent.disk.rename(parent.inode, change, this.node);
  }

  /** In one directory a rename is one change; between two, a power cut may leave the part of either. */
  #move({ from, to, moved }: { from: Located; to: Located; moved: Place }): void {
    const { disk, inode: source } = from.parent;
    const { inode: target } = to.parent;
    if (source === target) {
      disk.rename(source, { remove: from.name, add: [to.name, moved.inode] }, this.node);
    } else {
      disk.rename(target, { add: [to.name, moved.inode] }, this.node);
      disk.rename(source, { remove: from.name }, this.node);
    }
  }
}

type Parent = Located["parent"] & { readonly name: string };

function mayReplace(moved: Place, replaced: Facts["kind"], asked: Asked): void {
  if (moved.inode.kind === "directory" && replaced !== "directory") throw new FileError("ENOTDIR", asked);
  if (moved.inode.kind !== "directory" && replaced === "directory") throw new FileError("EISDIR", asked);
}

function mustBeWritable({ readOnly }: Place, asked: Asked): void {
  if (readOnly) throw new FileError("EROFS", asked);
}

/** Whether a path is the directory or something below it. */
function isBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}
