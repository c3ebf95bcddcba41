/** What a program asks of a file system, by the names that Node gives to it in its errors. */
export type FileCall =
  | "chmod"
  | "close"
  | "fchmod"
  | "fstat"
  | "fsync"
  | "ftruncate"
  | "link"
  | "lstat"
  | "mkdir"
  | "open"
  | "read"
  | "readlink"
  | "realpath"
  | "rename"
  | "rmdir"
  | "scandir"
  | "stat"
  | "statfs"
  | "symlink"
  | "unlink"
  | "watch"
  | "write";

/** One call, as far as its error names it. */
export type Asked = Readonly<{ call: FileCall; path?: string; dest?: string }>;

/** The numbers of Linux, and libuv's words for them; null where it has none, nor a name, and gives the number for both. */
const systemErrors = {
  EPERM: [1, "operation not permitted"],
  ENOENT: [2, "no such file or directory"],
  EIO: [5, "i/o error"],
  EBADF: [9, "bad file descriptor"],
  EBUSY: [16, "resource busy or locked"],
  EEXIST: [17, "file already exists"],
  EXDEV: [18, "cross-device link not permitted"],
  ENOTDIR: [20, "not a directory"],
  EISDIR: [21, "illegal operation on a directory"],
  EINVAL: [22, "invalid argument"],
  ENOSPC: [28, "no space left on device"],
  EROFS: [30, "read-only file system"],
  ENAMETOOLONG: [36, "name too long"],
  ENOTEMPTY: [39, "directory not empty"],
  ELOOP: [40, "too many symbolic links encountered"],
  ENOTSUP: [95, "operation not supported on socket"],
  EBADMSG: [74, null],
  ESTALE: [116, null],
  EUCLEAN: [117, null],
  EDQUOT: [122, null],
} as const satisfies Record<string, readonly [number: number, words: string | null]>;

/** Codes that a model disk answers with. */
export type ErrorCode = keyof typeof systemErrors;

/** A refusal of the file system, told as Node tells it. */
export class FileError extends Error {
  readonly errno: number;
  readonly code: string;
  readonly syscall: FileCall;
  declare readonly path?: string;
  declare readonly dest?: string;

  readonly #named: ErrorCode;

  constructor(named: ErrorCode, { call, path, dest }: Asked) {
    const [number, known] = systemErrors[named];
    const code = known === null ? `Unknown system error -${number}` : named;
    const words = known ?? code;
    const at = path === undefined ? "" : ` '${path}'`;
    super(`${code}: ${words}, ${call}${at}${dest === undefined ? "" : ` -> '${dest}'`}`);
    this.errno = -number;
    this.code = code;
    this.#named = named;
    this.syscall = call;
    if (path !== undefined) this.path = path;
    if (dest !== undefined) this.dest = dest;
  }

  /** What the kernel means, which Node does not always say. */
  get named(): ErrorCode {
    return this.#named;
  }
}
