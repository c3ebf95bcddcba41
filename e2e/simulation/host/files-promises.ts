import { constants } from "node:fs";
import { dirname, isAbsolute, join, relative } from "node:path";
import type { DiskView } from "../model/disk/disk-view.ts";
import { type FileCall, FileError } from "../model/disk/file-error.ts";
import type { OpenMode } from "../model/disk/open-file.ts";
import { reach } from "./files-access.ts";
import { SimDirent, SimFileHandle, SimStatFs, SimStats } from "./files-facts.ts";
import type { SimProcess } from "./process.ts";
import { refuse } from "./replacement.ts";

type Flags = string | number;
type MkdirOptions = Readonly<{ recursive?: boolean; mode?: number }>;
type ReaddirOptions = Readonly<{ withFileTypes?: boolean; recursive?: boolean }>;
type RmOptions = Readonly<{ recursive?: boolean; force?: boolean }>;

/**
 * The calls of `node:fs/promises` that product code makes, over the disks of a process. What Node does in several system
 * calls is several here as well: a process may die between them, and others act.
 */
export const simulatedPromises = {
  open: async (process: SimProcess, path: string, flags: Flags = "r", _mode?: number) =>
    new SimFileHandle(process, await once(process, { call: "open", path }, (view) => view.open(path, modeOf(flags)))),
  lstat: (process: SimProcess, path: string, options?: object) => {
    only("lstat", options, []);
    return once(process, { call: "lstat", path }, (view) => new SimStats(view.lstat(path)));
  },
  stat: (process: SimProcess, path: string, options?: object) => {
    only("stat", options, []);
    return once(process, { call: "stat", path }, (view) => new SimStats(view.stat(path)));
  },
  statfs: (process: SimProcess, path: string, options?: object) => {
    only("statfs", options, []);
    return once(process, { call: "statfs", path }, (view) => new SimStatFs(view.statfs(path)));
  },
  readdir: (process: SimProcess, path: string, options?: ReaddirOptions) => {
    only("readdir", options, ["withFileTypes", "recursive"]);
    if (options?.recursive) {
      if (options.withFileTypes) refuse("fs.promises.readdir with recursive and withFileTypes");
      return namesBelow(process, path);
    }
    return once(process, { call: "scandir", path }, (view) =>
      view.readdir(path).map((entry) => (options?.withFileTypes ? new SimDirent(entry) : entry.name)),
    );
  },
  readlink: (process: SimProcess, path: string) =>
    once(process, { call: "readlink", path }, (view) => view.readlink(path)),
  realpath: (process: SimProcess, path: string) =>
    once(process, { call: "realpath", path }, (view) => view.realpath(path)),
  chmod: (process: SimProcess, path: string, _mode: number) =>
    once(process, { call: "chmod", path }, (view) => view.chmod(path)),
  mkdir: (process: SimProcess, path: string, options?: MkdirOptions) => {
    only("mkdir", options, ["recursive", "mode"]);
    return options?.recursive ? makeAll(process, path) : make(process, path);
  },
  symlink: (process: SimProcess, target: string, path: string) =>
    once(process, { call: "symlink", path }, (view) => view.symlink(target, path)),
  link: (process: SimProcess, from: string, to: string) =>
    once(process, { call: "link", path: to }, (view) => view.link(from, to)),
  rename: (process: SimProcess, from: string, to: string) =>
    once(process, { call: "rename", path: to }, (view) => view.rename(from, to)),
  unlink: (process: SimProcess, path: string) => once(process, { call: "unlink", path }, (view) => view.unlink(path)),
  rmdir: (process: SimProcess, path: string, options?: object) => {
    only("rmdir", options, []);
    return once(process, { call: "rmdir", path }, (view) => view.rmdir(path));
  },
  rm: remove,
  readFile,
  writeFile,
};

/** How a file is opened by these flags, in either of their forms. */
export function modeOf(flags: Flags): OpenMode {
  const bits = typeof flags === "number" ? flags : (bitsOf[flags] ?? -1);
  if ((bits & ~knownBits) !== 0) refuse(`open with the flags ${flags}`);
  const access = bits & (constants.O_WRONLY | constants.O_RDWR);
  const has = (bit: number) => (bits & bit) !== 0;
  return {
    read: access !== constants.O_WRONLY,
    write: access !== constants.O_RDONLY,
    create: has(constants.O_CREAT),
    exclusive: has(constants.O_EXCL),
    truncate: has(constants.O_TRUNC),
    append: has(constants.O_APPEND),
    directory: has(constants.O_DIRECTORY),
    noFollow: has(constants.O_NOFOLLOW),
    direct: has(constants.O_DIRECT),
  };
}

const newFile = constants.O_WRONLY | constants.O_CREAT;
const bitsOf: Readonly<Record<string, number>> = {
  r: constants.O_RDONLY,
  "r+": constants.O_RDWR,
  w: newFile | constants.O_TRUNC,
  wx: newFile | constants.O_TRUNC | constants.O_EXCL,
  a: newFile | constants.O_APPEND,
};
/** O_NONBLOCK among them: the model has no pipes, so it changes nothing. */
const knownBits =
  newFile |
  constants.O_RDWR |
  constants.O_TRUNC |
  constants.O_EXCL |
  constants.O_APPEND |
  constants.O_DIRECTORY |
  constants.O_NOFOLLOW |
  constants.O_NONBLOCK |
  constants.O_DIRECT;

/** One system call on a path. */
function once<T>(process: SimProcess, access: { call: FileCall; path: string }, act: (view: DiskView) => T) {
  if (typeof access.path !== "string" || !isAbsolute(access.path)) refuse(`${access.call} of ${String(access.path)}`);
  return reach(process, access, act);
}

async function make(process: SimProcess, path: string): Promise<undefined> {
  await once(process, { call: "mkdir", path }, (view) => view.mkdir(path));
  return undefined;
}

/** Makes a directory and all above it that are absent, and says which was the first. */
async function makeAll(process: SimProcess, path: string): Promise<string | undefined> {
  const wanted = [path];
  let first: string | undefined;
  for (let next = wanted.pop(); next !== undefined; next = wanted.pop()) {
    try {
      await make(process, next);
      first ??= next;
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      if (error.named === "ENOENT" && dirname(next) !== next) {
        wanted.push(next, dirname(next));
      } else if (error.named !== "EEXIST") {
        throw error;
      } else {
        await mustBeDirectory(process, { path: next, isLast: wanted.length === 0 });
      }
    }
  }
  return first;
}

/** Something has the name that a directory was to get: another directory will do. */
async function mustBeDirectory(process: SimProcess, { path, isLast }: { path: string; isLast: boolean }) {
  const asked = { call: "mkdir", path } as const;
  const found = await once(process, { call: "stat", path }, (view) => view.stat(path)).catch((error: unknown) => {
    if (!(error instanceof FileError)) throw error;
    if (isLast) throw new FileError(error.named, asked);
    return null;
  });
  if (found?.kind !== "directory") throw new FileError(isLast ? "EEXIST" : "ENOTDIR", asked);
}

async function namesBelow(process: SimProcess, root: string): Promise<string[]> {
  const names: string[] = [];
  const directories = [root];
  for (let at = directories.pop(); at !== undefined; at = directories.pop()) {
    const directory = at;
    const entries = await once(process, { call: "scandir", path: at }, (view) => view.readdir(directory));
    for (const { name } of entries) {
      const path = join(directory, name);
      names.push(relative(root, path));
      const isDirectory = await once(
        process,
        { call: "stat", path },
        (view) => view.stat(path).kind === "directory",
      ).catch(() => false);
      if (isDirectory) directories.push(path);
    }
  }
  return names;
}

async function remove(process: SimProcess, path: string, options?: RmOptions): Promise<void> {
  only("rm", options, ["recursive", "force"]);
  const { recursive = false, force = false } = options ?? {};
  try {
    const { kind } = await once(process, { call: "lstat", path }, (view) => view.lstat(path));
    if (kind === "directory" && !recursive) {
      throw Object.assign(new Error(`Path is a directory: rm returned EISDIR (is a directory) ${path}`), {
        code: "ERR_FS_EISDIR",
      });
    }
  } catch (error) {
    if (force && isAbsent(error)) return;
    throw error;
  }
  await removeAll(process, path);
}

/** As Node does it: what is below goes at once, in no order, and whatever is gone by then is no error. */
async function removeAll(process: SimProcess, path: string): Promise<void> {
  try {
    const { kind } = await once(process, { call: "lstat", path }, (view) => view.lstat(path));
    if (kind !== "directory") return await once(process, { call: "unlink", path }, (view) => view.unlink(path));
    const rmdir = () => once(process, { call: "rmdir", path }, (view) => view.rmdir(path));
    const isEmpty = await rmdir().then(
      () => true,
      (error: unknown) => {
        if (error instanceof FileError && error.named === "ENOTEMPTY") return false;
        throw error;
      },
    );
    if (isEmpty) return;
    const entries = await once(process, { call: "scandir", path }, (view) => view.readdir(path));
    const removed = await Promise.allSettled(entries.map(({ name }) => removeAll(process, join(path, name))));
    for (const outcome of removed) if (outcome.status === "rejected") throw outcome.reason;
    await rmdir();
  } catch (error) {
    if (!isAbsent(error)) throw error;
  }
}

async function readFile(process: SimProcess, path: string, encoding: string): Promise<string> {
  if (encoding !== "utf8") refuse("fs.promises.readFile of anything but utf8");
  const file = await once(process, { call: "open", path }, (view) => view.open(path, modeOf("r")));
  await using handle = new SimFileHandle(process, file);
  const { size } = await handle.stat();
  const pieces: Uint8Array[] = [];
  for (;;) {
    // A file that grows meanwhile is read to its end.
    const piece = new Uint8Array(Math.max(size, 4096));
    const { bytesRead } = await handle.read(piece);
    if (bytesRead === 0) return Buffer.concat(pieces).toString("utf8");
    pieces.push(piece.subarray(0, bytesRead));
  }
}

/** Opens, which empties the file, then writes: who dies in between leaves an empty one. */
async function writeFile(process: SimProcess, path: string, text: string, options?: Readonly<{ flag?: string }>) {
  only("writeFile", options, ["flag"]);
  if (typeof text !== "string") refuse("fs.promises.writeFile of anything but a text");
  const mode = modeOf(options?.flag ?? "w");
  await using handle = new SimFileHandle(
    process,
    await once(process, { call: "open", path }, (v) => v.open(path, mode)),
  );
  const bytes = Buffer.from(text);
  for (let done = 0; done < bytes.byteLength; ) {
    done += (await handle.write(bytes, done)).bytesWritten;
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof FileError && error.named === "ENOENT";
}

/** An option that the model does not know could change the answer. */
function only(name: string, options: object | undefined, known: readonly string[]): void {
  for (const [option, value] of Object.entries(options ?? {})) {
    if (!known.includes(option) && value !== undefined) refuse(`fs.promises.${name} with ${option}`);
  }
}
