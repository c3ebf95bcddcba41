import type { Change, Tree } from "./changes.ts";

/** The unit that a disk writes whole or not at all. */
export const sectorBytes = 512;

type Write = Readonly<{ offset: number; bytes: Uint8Array }> | Readonly<{ resize: number }>;
type FileNode = { readonly kind: "file"; durable: Uint8Array; pending: Write[] };
/** A change of names that happens whole or not at all. */
type NameChange = Readonly<{ remove?: string; add?: readonly [name: string, node: Node] }>;
type DirectoryNode = {
  readonly kind: "directory";
  readonly durable: Map<string, Node>;
  /** What the running system sees. */
  readonly seen: Map<string, Node>;
  pending: NameChange[];
};
type Node = FileNode | DirectoryNode;

/** What one power cut does to what is not synced: each question is asked once per pending thing, in a fixed order. */
export type Luck = Readonly<{
  /** Whether a change of names reached the disk. */
  keepsName: () => boolean;
  /** Which of a file's sectors reached it, and whether its new length did. */
  keepsSectors: (count: number) => Readonly<{ kept: readonly boolean[]; length: boolean }>;
}>;

/**
 * A disk that promises no more than POSIX does: the bytes of a file are there after a sync of the file, a name after a
 * sync of its directory. Of all else a power cut leaves any part: renames and links in any order, and any sectors of a
 * file, the others as they were, or zeroes where the file was shorter.
 */
export class ModelDisk {
  readonly #root: DirectoryNode = directory();

  constructor(before: Tree) {
    for (const [path, bytes] of before) {
      const node: Node = bytes === null ? directory() : { kind: "file", durable: bytes, pending: [] };
      const [parent, name] = this.#place(path);
      parent.seen.set(name, node);
      parent.durable.set(name, node);
    }
  }

  /** Does what the process asked for. */
  play(change: Change): void {
    switch (change.kind) {
      case "create":
        this.#name(change.path, change.what === "file" ? file() : directory());
        break;
      case "write":
        this.#write(change.path, { offset: change.offset, bytes: change.bytes });
        break;
      case "resize":
        this.#write(change.path, { resize: change.bytes });
        break;
      case "sync":
        sync(this.#find(change.path));
        break;
      case "link":
        this.#name(change.to, this.#find(change.from));
        break;
      case "unlink": {
        const [parent, name] = this.#place(change.path);
        apply(parent, { remove: name });
        break;
      }
      case "rename":
        this.#rename(change.from, change.to);
        break;
      case "acknowledged":
        break;
      default:
        change satisfies never;
    }
  }

  /** What the running system sees, and what is left where a process dies and the power stays. */
  seen(): Tree {
    return this.cut({
      keepsName: () => true,
      keepsSectors: (count) => ({ kept: Array.from({ length: count }, () => true), length: true }),
    });
  }

  /** What is there after a power cut with that luck. */
  cut(luck: Luck): Tree {
    const tree = new Map<string, Uint8Array | null>();
    const contents = new Map<Node, Uint8Array>();
    const names = new Map<Node, Map<string, Node>>();
    for (const node of reachable(this.#root)) {
      if (node.kind === "file") contents.set(node, contentAfter(node, luck));
      else names.set(node, namesAfter(node, luck));
    }
    const walk = (node: Node, path: string): void => {
      if (path !== "") tree.set(path, contents.get(node) ?? null);
      for (const [name, child] of names.get(node) ?? []) walk(child, path === "" ? name : `${path}/${name}`);
    };
    walk(this.#root, "");
    return tree;
  }

  /** In one directory a rename is one change; between two, each directory keeps or loses its part. */
  #rename(from: string, to: string): void {
    const node = this.#find(from);
    const [source, oldName] = this.#place(from);
    const [target, newName] = this.#place(to);
    if (source === target) {
      apply(source, { remove: oldName, add: [newName, node] });
    } else {
      apply(target, { add: [newName, node] });
      apply(source, { remove: oldName });
    }
  }

  #write(path: string, write: Write): void {
    const node = this.#find(path);
    if (node.kind !== "file") throw new Error(`Cannot write to ${path} because it is a directory`);
    node.pending.push(write);
  }

  #name(path: string, node: Node): void {
    const [parent, name] = this.#place(path);
    apply(parent, { add: [name, node] });
  }

  #place(path: string): [DirectoryNode, string] {
    const at = path.lastIndexOf("/");
    const parent = this.#find(at < 0 ? "" : path.slice(0, at));
    if (parent.kind !== "directory") throw new Error(`Cannot name ${path} because its parent is no directory`);
    return [parent, path.slice(at + 1)];
  }

  #find(path: string): Node {
    let node: Node = this.#root;
    for (const name of path.split("/").filter(Boolean)) {
      const next: Node | undefined = node.kind === "directory" ? node.seen.get(name) : undefined;
      if (next === undefined) throw new Error(`Cannot find ${path} on the model disk`);
      node = next;
    }
    return node;
  }
}

const file = (): FileNode => ({ kind: "file", durable: new Uint8Array(0), pending: [] });
const directory = (): DirectoryNode => ({ kind: "directory", durable: new Map(), seen: new Map(), pending: [] });

function apply(parent: DirectoryNode, change: NameChange): void {
  take(parent.seen, change);
  parent.pending.push(change);
}

function take(names: Map<string, Node>, { remove, add }: NameChange): void {
  if (remove !== undefined) names.delete(remove);
  if (add !== undefined) names.set(...add);
}

function sync(node: Node): void {
  if (node.kind === "file") node.durable = written(node.durable, node.pending);
  else for (const change of node.pending) take(node.durable, change);
  node.pending = [];
}

/** Every node that some power cut may leave in sight, in a fixed order. */
function reachable(root: DirectoryNode): Node[] {
  const found = new Set<Node>([root]);
  for (const node of found) {
    if (node.kind === "file") continue;
    for (const child of [...node.durable.values(), ...node.seen.values()]) found.add(child);
    for (const { add } of node.pending) if (add !== undefined) found.add(add[1]);
  }
  return [...found];
}

function namesAfter({ durable, pending }: DirectoryNode, luck: Luck): Map<string, Node> {
  const names = new Map(durable);
  for (const change of pending) if (luck.keepsName()) take(names, change);
  return names;
}

function contentAfter({ durable, pending }: FileNode, luck: Luck): Uint8Array {
  if (pending.length === 0) return durable;
  const all = written(durable, pending);
  const size = Math.max(all.byteLength, durable.byteLength);
  const { kept, length } = luck.keepsSectors(Math.ceil(size / sectorBytes));
  const left = new Uint8Array(length ? all.byteLength : durable.byteLength);
  for (let at = 0; at < left.byteLength; at += sectorBytes) {
    const source = kept[at / sectorBytes] ? all : durable;
    left.set(source.subarray(at, Math.min(at + sectorBytes, left.byteLength)), at);
  }
  return left;
}

function written(durable: Uint8Array, pending: readonly Write[]): Uint8Array {
  let content = durable;
  for (const write of pending) {
    const end = "resize" in write ? write.resize : Math.max(content.byteLength, write.offset + write.bytes.byteLength);
    const next = new Uint8Array(end);
    next.set(content.subarray(0, end));
    if ("bytes" in write) next.set(write.bytes, write.offset);
    content = next;
  }
  return content;
}
