import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { bytesOf, type Call, parseTrace } from "../crash-grid/calls.ts";
import type { Scenario } from "../crash-grid/scenarios.ts";
import { playTraced } from "../crash-grid/strace.ts";
import { ModelDisk } from "./disk.ts";

/** What a process asked of the disk, in order; paths are relative to the run's directory, "" for itself. */
export type Change =
  | Readonly<{ kind: "create"; path: string; what: "file" | "directory" }>
  | Readonly<{ kind: "write"; path: string; offset: number; bytes: Uint8Array }>
  | Readonly<{ kind: "resize"; path: string; bytes: number }>
  | Readonly<{ kind: "sync"; path: string }>
  | Readonly<{ kind: "rename"; from: string; to: string }>
  | Readonly<{ kind: "link"; from: string; to: string }>
  | Readonly<{ kind: "unlink"; path: string }>
  /** The process said that it is done: from here on, a reader must find it. */
  | Readonly<{ kind: "acknowledged" }>;

/** Files by their path below the run's directory; null for a directory. Parents come before what is in them. */
export type Tree = ReadonlyMap<string, Uint8Array | null>;

/** What a scenario found and what it did. Power is lost after `judgedFrom` changes or later; 0 where absent. */
export type Recording = Readonly<{
  scenario: Scenario;
  before: Tree;
  changes: readonly Change[];
  judgedFrom?: number;
}>;

const traced = [
  "mkdir,mkdirat,openat,open,creat,close,write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate",
  "fsync,fdatasync,sync_file_range,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir",
].join(",");
/** More than any write of a scenario, so that no bytes are cut off in the trace. */
const maxBytes = 8 * 1024 * 1024;

/** Plays a scenario to its end and writes down every change that it made. `workspace` is an empty directory. */
export async function recordChanges(scenario: Scenario, workspace: string): Promise<Recording> {
  const root = join(workspace, "run");
  const trace = join(workspace, "trace");
  await mkdir(workspace, { recursive: true });
  await scenario.prepare(root);
  const before = await readTree(root);
  const options = ["-o", trace, "-xx", "-s", String(maxBytes), "-e", `trace=${traced}`];
  const { lines } = await playTraced(scenario.name, root, options);
  if (lines.join() !== "done") throw new Error(`Cannot record ${scenario.name} because it said: ${lines.join("; ")}`);
  return { scenario, before, changes: changesOf(parseTrace(await readFile(trace, "utf8")), { root, before }) };
}

/**
 * What a scenario does after another one was killed, without loss of power, when its changes up to `last` were made: what
 * that one had not synced is still pending. The scenario's own preparation is not done.
 */
export async function recordAfter(
  killed: Recording,
  { last, scenario, workspace }: { last: (change: Change) => boolean; scenario: Scenario; workspace: string },
): Promise<Recording> {
  const changes = killed.changes.slice(0, killed.changes.findIndex(last) + 1);
  const disk = new ModelDisk(killed.before);
  for (const change of changes) disk.play(change);
  const goesOn = { ...scenario, prepare: (root: string) => writeTree(disk.seen(), root) };
  const second = await recordChanges(goesOn, workspace);
  return { ...killed, scenario, changes: [...changes, ...second.changes], judgedFrom: changes.length };
}

/** Makes a tree in a directory, which may be there already. */
export async function writeTree(tree: Tree, root: string): Promise<void> {
  await mkdir(root, { recursive: true });
  for (const [path, bytes] of tree) {
    if (bytes === null) await mkdir(join(root, path));
    else await writeFile(join(root, path), bytes);
  }
}

async function readTree(root: string): Promise<Tree> {
  const tree = new Map<string, Uint8Array | null>();
  for (const entry of await readdir(root, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    tree.set(path.slice(root.length + 1), entry.isDirectory() ? null : await readFile(path));
  }
  return new Map([...tree].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The changes below the root; the place in a file is kept by descriptor, as the kernel does. */
function changesOf(calls: readonly Call[], { root, before }: { root: string; before: Tree }): Change[] {
  const names = new Set(before.keys());
  const offsets = new Map<string, number>();
  return calls.flatMap((call): Change[] => {
    const { name, args, result } = call;
    if (result === null || result < 0) return [];
    if (name === "write" && /^1<.*"\\x64\\x6f\\x6e\\x65\\x0a"/.test(args)) return [{ kind: "acknowledged" }];
    const [path, second] = call.paths.flatMap((one) => (isInside(one, root) ? [one.slice(root.length + 1)] : []));
    if (path === undefined) return [];
    const descriptor = /^(\d+)</.exec(args)?.[1] ?? "";
    switch (name) {
      case "openat":
      case "open":
      case "creat":
        offsets.set(String(result), 0);
        if (!args.includes("O_CREAT") || names.has(path)) return [];
        names.add(path);
        return [{ kind: "create", path, what: "file" }];
      case "mkdir":
      case "mkdirat":
        names.add(path);
        return [{ kind: "create", path, what: "directory" }];
      case "write": {
        const offset = offsets.get(descriptor) ?? 0;
        offsets.set(descriptor, offset + result);
        return [{ kind: "write", path, offset, bytes: writtenBytes(args).subarray(0, result) }];
      }
      case "pwrite64":
        return [{ kind: "write", path, offset: lastNumber(args), bytes: writtenBytes(args).subarray(0, result) }];
      case "ftruncate":
        return [{ kind: "resize", path, bytes: lastNumber(args) }];
      case "fsync":
      case "fdatasync":
        return [{ kind: "sync", path }];
      case "rename":
      case "renameat":
      case "renameat2":
        if (second === undefined) throw new Error(`Cannot replay a rename out of the run's directory: ${args}`);
        return [{ kind: "rename", from: path, to: second }];
      case "link":
      case "linkat":
        if (second === undefined) throw new Error(`Cannot replay a link out of the run's directory: ${args}`);
        return [{ kind: "link", from: path, to: second }];
      case "unlink":
      case "unlinkat":
      case "rmdir":
        names.delete(path);
        return [{ kind: "unlink", path }];
      case "close":
        return [];
      default:
        throw new Error(`Cannot replay ${name} because the model does not know it: ${args.slice(0, 200)}`);
    }
  });
}

function isInside(path: string, root: string): boolean {
  return path === root || path.startsWith(`${root}/`);
}

function writtenBytes(args: string): Uint8Array {
  const text = /, "((?:\\x[0-9a-f]{2})*)"(\.\.\.)?/.exec(args);
  if (text === null || text[2] !== undefined) throw new Error("Cannot replay a write because its bytes are not told");
  return bytesOf(text[1] ?? "");
}

function lastNumber(args: string): number {
  return Number(/(\d+)$/.exec(args)?.[1] ?? Number.NaN);
}
