import { type Luck, sectorBytes } from "../../../../checkpoint/test/power-loss/disk.ts";
import { Content } from "./content.ts";
import type { Disk } from "./disk.ts";
import { DirectoryInode, FileInode, type Inode } from "./inode.ts";

/** Everything on a disk by its path; null for a directory, and where a link leads. Parents come before what is in them. */
export type DiskTree = ReadonlyMap<string, Planted>;

/** What lies under a path. */
type Planted = Uint8Array | null | Readonly<{ target: string }>;

/**
 * Takes the power of the machine that a disk is in: what was not synced is there as `luck` has it, asked as it is for the
 * disk of the power-loss tests. Whoever had files open must be dead by then: those inodes are no part of the disk any more.
 */
export function cutPower(disk: Disk, luck: Luck): void {
  const files = new Map<Inode, FileInode>();
  const names = new Map<Inode, Map<string, Inode>>();
  for (const inode of reachable(disk.root)) {
    if (inode.kind === "file") files.set(inode, fileAfter(inode, luck));
    if (inode.kind === "directory") names.set(inode, inode.afterCut(luck.keepsName));
  }
  const rebuild = (old: DirectoryInode, above: ReadonlySet<Inode>): DirectoryInode => {
    const rebuilt = new DirectoryInode(old.number, old.mtimeMs);
    const path = new Set(above).add(old);
    for (const [name, inode] of names.get(old) ?? []) {
      // Moved into one another between two syncs, two directories may each have kept the other: no repair leaves that.
      if (inode.kind === "directory" && path.has(inode)) continue;
      const left = inode.kind === "directory" ? rebuild(inode, path) : (files.get(inode) ?? inode);
      rebuilt.durable.set(name, left);
      rebuilt.seen.set(name, left);
      if (left.kind === "file") left.names += 1;
    }
    return rebuilt;
  };
  disk.replaceRoot(rebuild(disk.root, new Set()));
}

/** What the running system sees, and what is left where processes die and the power stays. */
export function treeOf(disk: Disk): DiskTree {
  const tree = new Map<string, Planted>();
  const walk = (directory: DirectoryInode, prefix: string): void => {
    for (const [name, inode] of directory.seen) {
      const path = `${prefix}${name}`;
      if (inode.kind === "file") tree.set(path, inode.content.seen.slice());
      else if (inode.kind === "link") tree.set(path, { target: inode.target });
      else {
        tree.set(path, null);
        walk(inode, `${path}/`);
      }
    }
  };
  walk(disk.root, "");
  return tree;
}

/** Puts a tree in place of all that is on a disk, durably. */
export function plantTree(disk: Disk, tree: DiskTree): void {
  const root = new DirectoryInode(disk.root.number, disk.clock());
  const directories = new Map([["", root]]);
  for (const [path, content] of tree) {
    const at = path.lastIndexOf("/");
    const parent = directories.get(path.slice(0, Math.max(0, at)));
    if (parent === undefined) throw new Error(`Cannot plant ${path} because its parent does not come before it`);
    const inode = inodeOf(disk, { path, content });
    if (inode.kind === "directory") directories.set(path, inode);
    else inode.names += 1;
    parent.change({ add: [path.slice(at + 1), inode] }, disk.clock());
    parent.sync();
  }
  disk.replaceRoot(root);
}

function inodeOf(disk: Disk, { path, content }: { path: string; content: Planted }): Inode {
  const asked = { call: "open", path } as const;
  if (content === null) return disk.makeDirectory(asked);
  if ("target" in content) return disk.makeLink(content.target, asked);
  const file = disk.makeFile(asked);
  file.content = Content.of(content.slice());
  return file;
}

/** Every inode that some power cut may leave in sight, in a fixed order. */
function reachable(root: DirectoryInode): Set<Inode> {
  const found = new Set<Inode>([root]);
  for (const inode of found) {
    if (inode.kind === "directory") for (const child of inode.everyChild()) found.add(child);
  }
  return found;
}

function fileAfter(old: FileInode, luck: Luck): FileInode {
  const left = new FileInode(old.number, old.mtimeMs);
  left.content = Content.of(old.content.afterCut(luck.keepsSectors, sectorBytes));
  return left;
}
