import { EventEmitter } from "node:events";
import { FileError } from "../model/disk/file-error.ts";
import type { WatchEvent } from "../model/disk/inode.ts";
import type { OpenFile } from "../model/disk/open-file.ts";
import { openByNumber, reachNow } from "./files-access.ts";
import { modeOf } from "./files-promises.ts";
import type { SimProcess } from "./process.ts";
import { refuse } from "./replacement.ts";

/** The functions of `node:fs` that product code calls, over the disks of a process. */
export const simulatedSync = {
  openSync: (process: SimProcess, path: string, flags: string | number, _mode?: number): number => {
    const files = openByNumber(process);
    const file = reachNow(
      process,
      { call: "open", path },
      { act: (view) => view.open(path, modeOf(flags)), none: null },
    );
    if (file === null) return -1;
    let number = firstNumber;
    while (files.has(number)) number += 1;
    files.set(number, file);
    return number;
  },
  writeSync: (process: SimProcess, number: number, bytes: Uint8Array, ...place: readonly number[]): number => {
    if (typeof bytes === "string") refuse("fs.writeSync of a text");
    const [offset = 0, length = bytes.byteLength - offset, position = null] = place;
    const piece = bytes.subarray(offset, offset + length);
    const act = () => fileOf(process, { number, call: "write" }).write(piece, position);
    return reachNow(process, { call: "write", path: null }, { act, none: length });
  },
  ftruncateSync: (process: SimProcess, number: number, size = 0): void => {
    const act = () => fileOf(process, { number, call: "ftruncate" }).truncate(size);
    reachNow(process, { call: "ftruncate", path: null }, { act, none: undefined });
  },
  closeSync: (process: SimProcess, number: number): void => {
    const file = process.state === "dead" ? null : fileOf(process, { number, call: "close" });
    openByNumber(process).delete(number);
    reachNow(process, { call: "close", path: null }, { act: (view) => file && view.close(file), none: null });
  },
  watch: (process: SimProcess, path: string, options: Readonly<{ persistent: false }>, listener: Listener) => {
    if (options.persistent !== false) refuse("fs.watch that keeps the process alive");
    const watcher = new SimWatcher();
    const act = (view: { watch: (path: string, tell: Listener) => () => void }) =>
      // A notification comes by itself, so it is an event of the process that watches.
      view.watch(
        path,
        (event, name) => void process.scheduler.after(process, 0, () => watcher.tell(event, name, listener)),
      );
    watcher.stop = reachNow(process, { call: "watch", path }, { act, none: () => {} });
    return watcher;
  },
};

type Listener = (event: WatchEvent, name: string) => void;

/** What `fs.watch` answers, as far as product code asks something of it; the model's never emits an error. */
export class SimWatcher extends EventEmitter {
  stop: () => void = () => {};
  #isClosed = false;

  close(): void {
    this.#isClosed = true;
    this.stop();
  }

  tell(event: WatchEvent, name: string, listener: Listener): void {
    if (!this.#isClosed) listener(event, name);
  }
}

/** Below it are those that every process has from the beginning. */
const firstNumber = 3;

function fileOf(
  process: SimProcess,
  { number, call }: Readonly<{ number: number; call: "write" | "ftruncate" | "close" }>,
): OpenFile {
  const file = openByNumber(process).get(number);
  if (file === undefined) throw new FileError("EBADF", { call });
  return file;
}
