import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";

/** One thread of this process, as the kernel sees it. */
export type Task = {
  readonly id: number;
  readonly name: string;
  /** The kernel's letter: R runs, S waits, D waits for a device and cannot be ended, T is stopped. */
  readonly state: string;
  /** The kernel's function that it waits in; empty where it runs, or the kernel does not say. */
  readonly waitsIn: string;
  /** The call that it waits in, and of which file; empty where it runs, or that may not be known. */
  readonly call: string;
};

/** Calls in which programs wait, by the number they have on an architecture. */
const callNames: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  x64: {
    ...{ 0: "read", 1: "write", 7: "poll", 16: "ioctl", 17: "pread", 18: "pwrite", 35: "nanosleep", 42: "connect" },
    ...{ 45: "recvfrom", 47: "recvmsg", 61: "wait", 73: "flock", 74: "fsync", 75: "fdatasync", 202: "futex" },
    ...{ 230: "nanosleep", 232: "epoll_wait", 257: "open", 271: "poll", 281: "epoll_wait", 426: "io_uring" },
  },
  arm64: {
    ...{ 63: "read", 64: "write", 73: "poll", 29: "ioctl", 67: "pread", 68: "pwrite", 101: "nanosleep" },
    ...{ 203: "connect", 207: "recvfrom", 212: "recvmsg", 260: "wait", 32: "flock", 82: "fsync", 83: "fdatasync" },
    ...{ 98: "futex", 115: "nanosleep", 22: "epoll_wait", 56: "open", 426: "io_uring" },
  },
};

/** Those whose first argument is a file that is open. */
const ofFile: readonly string[] = [
  ...["read", "write", "ioctl", "pread", "pwrite", "connect", "recvfrom", "recvmsg", "flock", "fsync", "fdatasync"],
];

/**
 * The threads of this process but the one that asks, the first one first: in Node it runs the script. Empty where the
 * system has no /proc.
 */
export function readTasks(): Task[] {
  const own = ownId();
  return idsOf("/proc/self/task").flatMap((id) => {
    if (id === own) return [];
    const of = (file: string) => read(`/proc/self/task/${id}/${file}`);
    const stat = of("stat");
    // The name, in parentheses, may hold anything; the state follows it.
    const end = stat.lastIndexOf(")");
    if (end === -1) return [];
    const waitsIn = of("wchan");
    return [
      {
        id,
        name: stat.slice(stat.indexOf("(") + 1, end),
        state: stat.slice(end + 2, end + 3),
        waitsIn: waitsIn === "0" ? "" : waitsIn,
        call: describeCall(of("syscall")),
      },
    ];
  });
}

/** A line about a thread. */
export function describeTask({ id, name, state, waitsIn, call }: Task): string {
  return [String(id), name, state, ...(call === "" ? [] : [call]), ...(waitsIn === "" ? [] : [`in ${waitsIn}`])].join(
    " ",
  );
}

/** proc(5): a number and the arguments in hexadecimal, or a word. */
function describeCall(syscall: string): string {
  const [number = "", first = ""] = syscall.trim().split(" ");
  if (!/^\d+$/.test(number)) return "";
  const name = callNames[process.arch]?.[Number(number)] ?? `call ${number}`;
  return ofFile.includes(name) ? `${name} of ${fileOf(Number(first))}` : name;
}

function fileOf(descriptor: number): string {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    // It has been closed since, or it was no file's.
    return `file ${descriptor}`;
  }
}

function ownId(): number | null {
  try {
    return Number(basename(readlinkSync("/proc/thread-self")));
  } catch {
    return null;
  }
}

function idsOf(directory: string): number[] {
  try {
    return readdirSync(directory)
      .map(Number)
      .toSorted((a, b) => a - b);
  } catch {
    return [];
  }
}

/** A thread may end between two looks, and not all of it may be shown to everybody. */
function read(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}
