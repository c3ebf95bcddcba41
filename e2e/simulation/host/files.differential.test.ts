import { closeSync, constants, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import * as files from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Disk } from "../model/disk/disk.ts";
import { DiskView } from "../model/disk/disk-view.ts";
import { fileReplacements } from "./files.ts";
import { giveFiles } from "./files-access.ts";
import { installHost } from "./install.ts";
import { SimProcess } from "./process.ts";
import { Scheduler } from "./scheduler.ts";

installHost({ models: fileReplacements() });

/*
 * The model is worth what it has in common with the real thing: generated histories of calls are played by a simulated
 * process on the model and by this process on the file system that holds the temporary directory. Every answer is
 * compared, and those that are errors by code, number, words and paths.
 */

const histories = Number(process.env.FILE_HISTORIES ?? 600);

test("the model answers as the real file system does, whatever is asked of it", { timeout: 300_000 }, async () => {
  const met = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(fc.array(anAct(), { minLength: 5, maxLength: 60 }), async (history) => {
      const answers = await onModel(history);
      expect(answers).toEqual(await onRealDisk(history));
      for (const [index, answer] of answers.entries()) {
        const kind = `${history[index]?.[0]} ${/"code":"(\w+)"/.exec(answer)?.[1] ?? "done"}`;
        met.set(kind, (met.get(kind) ?? 0) + 1);
      }
    }),
    { numRuns: histories, seed: 11 },
  );
  // A generator that meets nothing compares nothing.
  expect([...met.keys()]).toEqual(expect.arrayContaining(kindsToMeet));
});

const kindsToMeet = [
  ...["rename done", "rename ENOENT", "rename ENOTDIR", "rename EISDIR", "rename ENOTEMPTY", "rename EINVAL"],
  ...["link done", "link EEXIST", "link EPERM", "symlink done", "symlink EEXIST", "unlink EISDIR", "rmdir ENOTEMPTY"],
  ...["rmdir ENOTDIR", "open done", "open ENOENT", "open EEXIST", "open ELOOP", "open ENOTDIR", "open EISDIR"],
  ...["read done", "read EBADF", "read EISDIR", "write done", "write EBADF", "readFile done", "readFile EISDIR"],
  ...["mkdirAll done", "mkdirAll EEXIST", "mkdirAll ENOTDIR", "rmAll done", "rm ENOENT", "rm ERR_FS_EISDIR"],
  ...["readdirAll done", "readlink done", "readlink EINVAL", "realpath done", "termination done"],
];

type Act = readonly [name: keyof typeof acts, ...args: readonly (string | number | null)[]];
type Open = Map<number, files.FileHandle>;
type Place = Readonly<{ root: string; open: Open }>;

/** What may be asked; paths are below the root. */
const acts = {
  mkdir: ({ root }: Place, path: string) => files.mkdir(join(root, path), { mode: 0o2770 }),
  mkdirAll: ({ root }: Place, path: string) => files.mkdir(join(root, path), { recursive: true }),
  writeFile: ({ root }: Place, path: string, text: string) => files.writeFile(join(root, path), text),
  append: ({ root }: Place, path: string, text: string) => files.writeFile(join(root, path), text, { flag: "a" }),
  readFile: ({ root }: Place, path: string) => files.readFile(join(root, path), "utf8"),
  rename: ({ root }: Place, from: string, to: string) => files.rename(join(root, from), join(root, to)),
  link: ({ root }: Place, from: string, to: string) => files.link(join(root, from), join(root, to)),
  symlink: ({ root }: Place, path: string, target: string) => files.symlink(target, join(root, path)),
  unlink: ({ root }: Place, path: string) => files.unlink(join(root, path)),
  rmdir: ({ root }: Place, path: string) => files.rmdir(join(root, path)),
  rm: ({ root }: Place, path: string) => files.rm(join(root, path)),
  rmForced: ({ root }: Place, path: string) => files.rm(join(root, path), { force: true }),
  rmAll: ({ root }: Place, path: string) => files.rm(join(root, path), { recursive: true, force: true }),
  lstat: async ({ root }: Place, path: string) => told(await files.lstat(join(root, path))),
  stat: async ({ root }: Place, path: string) => told(await files.stat(join(root, path))),
  chmod: ({ root }: Place, path: string) => files.chmod(join(root, path), 0o2770),
  readlink: ({ root }: Place, path: string) => files.readlink(join(root, path)),
  realpath: ({ root }: Place, path: string) => files.realpath(join(root, path)),
  readdir: async ({ root }: Place, path: string) => (await files.readdir(join(root, path))).sort(),
  readdirAll: async ({ root }: Place, path: string) =>
    (await files.readdir(join(root, path), { recursive: true })).sort(),
  readdirTypes: async ({ root }: Place, path: string) =>
    (await files.readdir(join(root, path), { withFileTypes: true }))
      .map((entry) => `${entry.name} ${entry.isFile()} ${entry.isDirectory()}`)
      .sort(),
  open: async ({ root, open }: Place, slot: number, path: string, flags: string) => {
    const handle = await files.open(join(root, path), /^\d+$/.test(flags) ? Number(flags) : flags, 0o640);
    await open.get(slot)?.close();
    open.set(slot, handle);
  },
  read: async ({ open }: Place, slot: number, bytes: number, position: number | null) => {
    const buffer = new Uint8Array(bytes);
    const read = await open.get(slot)?.read(buffer, 0, bytes, position);
    return [read?.bytesRead, ...buffer];
  },
  write: async ({ open }: Place, slot: number, text: string, position: number | null) => {
    const bytes = Buffer.from(`${text}-written`);
    return (await open.get(slot)?.write(bytes, 0, bytes.byteLength, position))?.bytesWritten;
  },
  sync: ({ open }: Place, slot: number) => open.get(slot)?.sync(),
  handleChmod: ({ open }: Place, slot: number) => open.get(slot)?.chmod(0o640),
  handleStat: async ({ open }: Place, slot: number) => {
    const found = await open.get(slot)?.stat();
    return found && told(found);
  },
  close: ({ open }: Place, slot: number) => open.get(slot)?.close(),
  termination: ({ root }: Place, path: string, flags: string) => {
    const bytes = Buffer.from("the end");
    const file = openSync(join(root, path), flags, 0o644);
    try {
      return [writeSync(file, bytes, 0, bytes.length, 0), ftruncateSync(file, 3)];
    } finally {
      closeSync(file);
    }
  },
} as const satisfies Record<string, (place: Place, ...args: never[]) => unknown>;

const { O_RDONLY, O_WRONLY, O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY } = constants;

function anAct(): fc.Arbitrary<Act> {
  const path = fc.constantFrom("a", "b", "c", "a/a", "a/b", "b/a", "b/b", "a/a/a", "a/b/c", "c/a", "");
  const text = fc.constantFrom("", "x", "words", "0123456789");
  const slot = fc.constantFrom(0, 1, 2);
  const position = fc.constantFrom(null, 0, 3, 20);
  const numbers = [O_RDONLY | O_NOFOLLOW | O_NONBLOCK, O_RDONLY | O_DIRECTORY, O_WRONLY | O_NOFOLLOW];
  const flags = fc.constantFrom("r", "r+", "w", "wx", "a", ...numbers.map(String));
  const target = fc.constantFrom("a", "b", "c", "a/b", "nowhere");
  const onPath = fc.constantFrom(
    ...([
      "mkdir",
      "mkdir",
      "mkdirAll",
      "readFile",
      "unlink",
      "rmdir",
      "rm",
      "rmForced",
      "rmAll",
      "lstat",
      "stat",
    ] as const),
    ...(["chmod", "readlink", "realpath", "readdir", "readdirAll", "readdirTypes"] as const),
  );
  return fc.oneof(
    { weight: 5, arbitrary: fc.tuple(onPath, path) },
    { weight: 4, arbitrary: fc.tuple(fc.constantFrom("writeFile", "append"), path, text) },
    { weight: 3, arbitrary: fc.tuple(fc.constantFrom("rename", "link"), path, path) },
    { weight: 2, arbitrary: fc.tuple(fc.constant("symlink" as const), path, target) },
    { weight: 2, arbitrary: fc.tuple(fc.constant("open" as const), slot, path, flags) },
    { weight: 1, arbitrary: fc.tuple(fc.constant("read" as const), slot, fc.constantFrom(1, 8), position) },
    { weight: 1, arbitrary: fc.tuple(fc.constant("write" as const), slot, text, position) },
    { weight: 1, arbitrary: fc.tuple(fc.constantFrom("sync", "handleStat", "handleChmod", "close"), slot) },
    { weight: 1, arbitrary: fc.tuple(fc.constant("termination" as const), path, fc.constantFrom("w", "r+")) },
  );
}

/** Plays a history in a fresh directory and says what was answered to each act, with the root by its name. */
async function playFiles(history: readonly Act[], root: string): Promise<string[]> {
  const place: Place = { root, open: new Map() };
  const answers: string[] = [];
  await files.mkdir(root, { recursive: true });
  for (const [name, ...args] of history) {
    const act: (place: Place, ...args: never[]) => unknown = acts[name];
    const answer = await attempt(() => Reflect.apply(act, undefined, [place, ...args]));
    answers.push(`${name} ${args.join(" ")} -> ${answer ?? "nothing"}`.replaceAll(root, "ROOT"));
  }
  for (const handle of place.open.values()) await handle.close();
  return answers;
}

async function attempt(act: () => unknown): Promise<string | undefined> {
  try {
    return JSON.stringify(await act());
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error)) throw error;
    const { message } = error;
    const { code, errno, syscall, path, dest } = { errno: 0, syscall: "", path: "", dest: "", ...error };
    return JSON.stringify(code === "ERR_FS_EISDIR" ? { code, message } : { code, errno, syscall, path, dest, message });
  }
}

function told(stats: Readonly<{ isFile(): boolean; isDirectory(): boolean; size: number }>) {
  const isDirectory = stats.isDirectory();
  return [stats.isFile(), isDirectory, isDirectory ? null : stats.size];
}

async function onModel(history: readonly Act[]): Promise<string[]> {
  const scheduler = new Scheduler({ seed: 1 });
  const disk = new Disk({ device: 7, clock: () => scheduler.now });
  const process = new SimProcess(scheduler, { name: "player" });
  giveFiles(process, new DiskView({ node: "node-a", mounts: [{ path: "/", disk }] }));
  let answers: string[] | undefined;
  process.start(async () => {
    answers = await playFiles(history, "/root");
  });
  while (await scheduler.step());
  if (answers === undefined) throw new Error("Cannot compare because the history did not come to its end");
  return answers;
}

async function onRealDisk(history: readonly Act[]): Promise<string[]> {
  const directory = mkdtempSync(join(tmpdir(), "files-"));
  try {
    return await playFiles(history, join(directory, "root"));
  } finally {
    rmSync(directory, { recursive: true });
  }
}
