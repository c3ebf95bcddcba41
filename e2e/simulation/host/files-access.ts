import type { DiskView } from "../model/disk/disk-view.ts";
import type { FileCall } from "../model/disk/file-error.ts";
import type { OpenFile } from "../model/disk/open-file.ts";
import { Belonging, type SimProcess, unending } from "./process.ts";

/** A call of a process that reaches a disk; `path` is null where it goes by a descriptor. */
export type FileAccess = Readonly<{ call: FileCall; path: string | null }>;

/** What looks on: it may kill the process before a call has had its effect, or before it is answered. */
export type FileWitness = (phase: "before" | "after", access: FileAccess) => void;

/** What a process has of files. */
type ProcessFiles = Readonly<{
  view: DiskView;
  witness: FileWitness;
  /** Files that were opened synchronously, by their numbers. */
  byNumber: Map<number, OpenFile>;
}>;

const owned = new Belonging<ProcessFiles>("files");

/** Gives a process its view of the disks, which ends with it. */
export function giveFiles(process: SimProcess, view: DiskView, witness: FileWitness = () => {}): void {
  owned.give(process, { view, witness, byNumber: new Map() });
  process.atEnd(() => view.end());
}

/** What a process has open by number. */
export function openByNumber(process: SimProcess): Map<number, OpenFile> {
  return owned.of(process).byNumber;
}

/**
 * Does one system call of a process. Before it has its effect, or before it is answered, it may take a while, as the seed
 * and the faults of the disk have it, and the process may die meanwhile.
 */
export async function reach<T>(process: SimProcess, access: FileAccess, act: (view: DiskView) => T): Promise<T> {
  const { view, witness } = owned.of(process);
  const isQuick = process.scheduler.noise.share === 0;
  const isSlowToBegin = !isQuick && process.row("noise side").hits(0.5);
  const before = isSlowToBegin ? process.hesitate(access.call) : undefined;
  if (before !== undefined) await before;
  const slowMs = access.path === null ? 0 : view.slowness(access.call, access.path);
  if (slowMs > 0) await process.later(slowMs);
  const answer = seen(process, access, { act: () => act(view), witness });
  const after = isQuick || isSlowToBegin ? undefined : process.hesitate(access.call);
  if (after !== undefined) await after;
  if (answer === null || isDead(process)) return unending();
  return answer();
}

/** Does one system call at once. A dead process gets `none`, and nothing happens. */
export function reachNow<T>(process: SimProcess, access: FileAccess, { act, none }: Immediate<T>): T {
  if (isDead(process)) return none;
  const { view, witness } = owned.of(process);
  const answer = seen(process, access, { act: () => act(view), witness });
  return answer === null ? none : answer();
}

type Immediate<T> = Readonly<{ act: (view: DiskView) => T; none: T }>;
type Watched<T> = Readonly<{ act: () => T; witness: FileWitness }>;

/** The effect of a call, with its answer for later; null where the process died before it. */
function seen<T>(process: SimProcess, access: FileAccess, { act, witness }: Watched<T>): (() => T) | null {
  if (isDead(process)) return null;
  witness("before", access);
  if (isDead(process)) return null;
  process.note(`${access.call} ${access.path ?? ""}`);
  const answer = outcomeOf(act);
  witness("after", access);
  return answer;
}

function outcomeOf<T>(act: () => T): () => T {
  try {
    const value = act();
    return () => value;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

function isDead(process: SimProcess): boolean {
  return process.state === "dead";
}
