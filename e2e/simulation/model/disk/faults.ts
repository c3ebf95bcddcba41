import { type Asked, type ErrorCode, type FileCall, FileError } from "./file-error.ts";
import type { FileInode } from "./inode.ts";

/** What a call would do to the disk: an error for want of room only meets what needs room. */
export type Effect = "reads" | "changes" | "grows";

/** A call that reaches a disk. */
export type Access = Readonly<{
  asked: Asked;
  /** From the root of the disk, "" for itself. */
  path: string;
  node: string;
  effect: Effect;
}>;

/** Which accesses a fault meets: all of them where nothing is said. */
type Meets = Readonly<{
  calls?: readonly FileCall[];
  /** A part of the path on the disk. */
  path?: string;
  /** Where the process runs. */
  node?: string;
  /** So many are let pass first. */
  after?: number;
  /** So many are met, then no more. */
  times?: number;
}>;

/** What a disk does to calls, as data. */
export type DiskFault = Meets &
  Readonly<
    | { fails: ErrorCode }
    | { slowMs: number }
    /** Who watches a directory is not told of a change; `path` is the name in it. */
    | { silences: true }
  >;

/** A fault that stands until it is lifted. */
export type StandingFault = { readonly fault: DiskFault; readonly fired: number; lift(): void };

/** The faults of one disk. None of them is there at the beginning. */
export class DiskFaults {
  readonly #standing = new Set<StandingFault & { met: number; fired: number }>();

  add(fault: DiskFault): StandingFault {
    const standing = { fault, met: 0, fired: 0, lift: () => void this.#standing.delete(standing) };
    this.#standing.add(standing);
    return standing;
  }

  /** Whether none stands, as mostly: then nothing has to be known of an access. */
  get areNone(): boolean {
    return this.#standing.size === 0;
  }

  /** Throws where the disk refuses this access. */
  strike(access: Access): void {
    for (const standing of this.#standing) {
      const { fault } = standing;
      if (
        !("fails" in fault) ||
        !concerns(fault.fails, { effect: access.effect, isNamed: fault.calls !== undefined })
      ) {
        continue;
      }
      if (fires(standing, access)) throw new FileError(fault.fails, access.asked);
    }
  }

  /** How long this access takes beyond the usual, in milliseconds. */
  slowness(access: Access): number {
    let slowMs = 0;
    for (const standing of this.#standing) {
      if ("slowMs" in standing.fault && fires(standing, access)) slowMs += standing.fault.slowMs;
    }
    return slowMs;
  }

  /** Whether nobody is told of a change. */
  silences(access: Access): boolean {
    for (const standing of this.#standing) if ("silences" in standing.fault && fires(standing, access)) return true;
    return false;
  }
}

/** Damage that nobody is told of. */
export type Damage =
  | Readonly<{ kind: "FlipBit"; bit: number }>
  /** The last bytes read as zeroes, as where blocks were given to a file and never written. */
  | Readonly<{ kind: "ZeroTail"; bytes: number }>
  | Readonly<{ kind: "CutTail"; bytes: number }>;

/**
 * Changes the bytes of a file that are durable. Readers on the machine see it at once where the page cache is `evicted`;
 * where it is `kept`, only who reads past the cache, and who comes after the next power cut.
 */
export function damageFile(file: FileInode, damage: Damage, { cache }: { cache: "kept" | "evicted" }): void {
  file.content.damage((bytes) => damaged(bytes, damage));
  if (damage.kind === "CutTail" && cache === "evicted") {
    file.content.resize(Math.max(0, file.content.size - damage.bytes));
    file.content.sync();
  }
  if (cache === "evicted") file.content.evict();
}

function damaged(bytes: Uint8Array, damage: Damage): Uint8Array {
  switch (damage.kind) {
    case "FlipBit": {
      const at = Math.floor(damage.bit / 8);
      const byte = bytes[at];
      if (byte === undefined) throw new RangeError(`Cannot flip bit ${damage.bit} of ${bytes.byteLength} bytes`);
      bytes[at] = byte ^ (1 << (damage.bit % 8));
      return bytes;
    }
    case "ZeroTail":
      return bytes.fill(0, Math.max(0, bytes.byteLength - damage.bytes));
    case "CutTail":
      return bytes.subarray(0, Math.max(0, bytes.byteLength - damage.bytes));
    default:
      return damage satisfies never;
  }
}

function fires(standing: { fault: DiskFault; met: number; fired: number }, access: Access): boolean {
  const { calls, path, node, after = 0, times = Number.POSITIVE_INFINITY } = standing.fault;
  if (calls !== undefined && !calls.includes(access.asked.call)) return false;
  if (path !== undefined && !access.path.includes(path)) return false;
  if (node !== undefined && node !== access.node) return false;
  standing.met += 1;
  if (standing.met <= after || standing.fired >= times) return false;
  standing.fired += 1;
  return true;
}

/** Whether a disk could answer so at all. A plan that names the calls has said so itself. */
function concerns(code: ErrorCode, { effect, isNamed }: { effect: Effect; isNamed: boolean }): boolean {
  if (isNamed) return true;
  switch (code) {
    case "EROFS":
      return effect !== "reads";
    case "ENOSPC":
    case "EDQUOT":
      return effect === "grows";
    default:
      return true;
  }
}
