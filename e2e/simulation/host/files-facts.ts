import type { Dirent, Stats, StatsFs } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import type { Entry } from "../model/disk/disk-view.ts";
import type { Facts, OpenFile } from "../model/disk/open-file.ts";
import { reach } from "./files-access.ts";
import type { SimProcess } from "./process.ts";
import { refuse } from "./replacement.ts";

/** What `stat` answers, as far as product code reads it. */
export class SimStats {
  readonly size: number;
  readonly dev: number;
  readonly ino: number;
  readonly mtimeMs: number;
  readonly #kind: Facts["kind"];

  constructor({ size, dev, ino, mtimeMs, kind }: Facts) {
    this.size = size;
    this.dev = dev;
    this.ino = ino;
    this.mtimeMs = mtimeMs;
    this.#kind = kind;
  }

  isFile(): boolean {
    return this.#kind === "file";
  }

  isDirectory(): boolean {
    return this.#kind === "directory";
  }
}

/** What `readdir` answers with file types, as far as product code reads it. */
export class SimDirent {
  readonly name: string;
  readonly #kind: Entry["kind"];

  constructor({ name, kind }: Entry) {
    this.name = name;
    this.#kind = kind;
  }

  isFile(): boolean {
    return this.#kind === "file";
  }

  isDirectory(): boolean {
    return this.#kind === "directory";
  }
}

/** What `statfs` answers, as far as product code reads it. */
export class SimStatFs {
  readonly bsize: number;
  readonly blocks: number;
  readonly bavail: number;

  constructor({ bsize, blocks, bavail }: Readonly<{ bsize: number; blocks: number; bavail: number }>) {
    this.bsize = bsize;
    this.blocks = blocks;
    this.bavail = bavail;
  }
}

/** An open file of a process, as far as product code asks something of it. */
export class SimFileHandle implements AsyncDisposable {
  readonly #process: SimProcess;
  readonly #file: OpenFile;

  constructor(process: SimProcess, file: OpenFile) {
    this.#process = process;
    this.#file = file;
  }

  stat(): Promise<SimStats> {
    return this.#slowly("fstat", () => new SimStats(this.#file.stat()));
  }

  async read(buffer: Uint8Array, offset = 0, length = buffer.byteLength - offset, position: number | null = null) {
    const target = buffer.subarray(offset, offset + length);
    const bytesRead = await this.#slowly("read", () => this.#file.read(target, position));
    return { bytesRead, buffer };
  }

  async write(buffer: Uint8Array, offset = 0, length = buffer.byteLength - offset, position: number | null = null) {
    if (typeof buffer === "string") refuse("FileHandle.write of a text");
    const bytes = buffer.subarray(offset, offset + length);
    const bytesWritten = await this.#slowly("write", () => this.#file.write(bytes, position));
    return { bytesWritten, buffer };
  }

  sync(): Promise<void> {
    return this.#slowly("fsync", () => this.#file.sync());
  }

  chmod(_mode: number): Promise<void> {
    return this.#slowly("fchmod", () => this.#file.chmod());
  }

  close(): Promise<void> {
    return reach(this.#process, { call: "close", path: null }, (view) => view.close(this.#file));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** A call that a fault of the disk may slow down. */
  async #slowly<T>(call: "read" | "write" | "fsync" | "fstat" | "fchmod", act: () => T): Promise<T> {
    // Node itself says so, in words of its own.
    if (!this.#file.isOpen) throw Object.assign(new Error("file closed"), { code: "EBADF", syscall: call });
    const slowMs = this.#file.disk.faults.slowness(this.#file.accessFor(call, "reads"));
    if (slowMs > 0) await this.#process.later(slowMs);
    return reach(this.#process, { call, path: null }, act);
  }
}

/** The rest of what Node's own have: whoever asks for it spoils the play, by name. */
const unknownStats: Record<Exclude<keyof Stats, keyof SimStats>, true> = {
  ...{ atime: true, atimeMs: true, birthtime: true, birthtimeMs: true, blksize: true, blocks: true, ctime: true },
  ...{ ctimeMs: true, gid: true, isBlockDevice: true, isCharacterDevice: true, isFIFO: true, isSocket: true },
  ...{ isSymbolicLink: true, mode: true, mtime: true, nlink: true, rdev: true, uid: true },
};
const unknownDirent: Record<Exclude<keyof Dirent, keyof SimDirent>, true> = {
  ...{ isBlockDevice: true, isCharacterDevice: true, isFIFO: true, isSocket: true, isSymbolicLink: true },
  ...{ parentPath: true },
};
const unknownStatFs: Record<Exclude<keyof StatsFs, keyof SimStatFs>, true> = {
  ...{ bfree: true, ffree: true, files: true, frsize: true, type: true },
};
const unknownHandle: Record<Exclude<keyof FileHandle, keyof SimFileHandle>, true> = {
  ...{ appendFile: true, chown: true, createReadStream: true, createWriteStream: true, datasync: true, fd: true },
  ...{ readableWebStream: true, readFile: true, readLines: true, readv: true, truncate: true, utimes: true },
  ...{ writeFile: true, writev: true, addListener: true, emit: true, eventNames: true, getMaxListeners: true },
  ...{ listenerCount: true, listeners: true, off: true, on: true, once: true, prependListener: true },
  ...{ prependOnceListener: true, rawListeners: true, removeAllListeners: true, removeListener: true },
  ...{ setMaxListeners: true },
};

for (const [owner, unknown] of [
  [SimStats, unknownStats],
  [SimDirent, unknownDirent],
  [SimStatFs, unknownStatFs],
  [SimFileHandle, unknownHandle],
] as const) {
  for (const name of Object.keys(unknown)) {
    Object.defineProperty(owner.prototype, name, { get: () => refuse(`${owner.name.slice(3)}.${name}`) });
  }
}
