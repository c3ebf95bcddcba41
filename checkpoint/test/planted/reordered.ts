import type { Change, Recording } from "../power-loss/changes.ts";
import { describe } from "../power-loss/states.ts";

/** A recording as it would be of a program with one line wrong: what is wrong, and what it would do. */
export type Mistaken = Readonly<{ mistake: string; recording: Recording }>;

/** The same program with one sync forgotten, for each of its syncs of a path like that. */
export function withoutEachSync(recording: Recording, of: RegExp = /^/): Mistaken[] {
  return recording.changes.flatMap((change, index) =>
    change.kind === "sync" && index >= (recording.judgedFrom ?? 0) && of.test(change.path)
      ? [mistaken(recording, `forgets to ${describe(change)}`, recording.changes.toSpliced(index, 1))]
      : [],
  );
}

/** The same program with a record of the log named before its bytes are synced, for each record. */
export function withEachRecordTooEarly(recording: Recording): Mistaken[] {
  return recording.changes.flatMap((change, index) => {
    if (change.kind !== "link") return [];
    const sync = recording.changes.findLastIndex((other, at) => at < index && isSyncOf(other, change.from));
    return sync < 0 ? [] : [moved(recording, `does ${describe(change)} before its sync`, { from: index, to: sync })];
  });
}

/** The same program that gives the checkpoint its name only after the log's record of it. */
export function withTheNameAfterTheCommit(recording: Recording): Mistaken {
  const { changes } = recording;
  const from = changes.findIndex((change) => change.kind === "rename" && change.to.startsWith("data/step-"));
  const to = changes.findIndex(({ kind }) => kind === "link");
  return moved(recording, "names the checkpoint after its commit", { from, to });
}

/** The same program that takes a checkpoint's name away before its tombstone is in the log. */
export function withTheRemovalBeforeTheTombstone(recording: Recording): Mistaken {
  const { changes } = recording;
  const from = changes.findIndex((change) => change.kind === "rename" && change.from.startsWith("data/step-"));
  return moved(recording, "takes the name away before the tombstone", { from, to: 0 });
}

function isSyncOf(change: Change, path: string): boolean {
  return change.kind === "sync" && change.path === path;
}

function moved(recording: Recording, mistake: string, { from, to }: { from: number; to: number }): Mistaken {
  const change = recording.changes[from];
  if (change === undefined || to < 0) throw new Error(`Cannot plant "${mistake}" because no change fits`);
  return mistaken(recording, mistake, recording.changes.toSpliced(from, 1).toSpliced(to, 0, change));
}

/** Power is lost once the last record has its name, when all that it says must be durable: a mistake shows by then. */
function mistaken(recording: Recording, mistake: string, changes: readonly Change[]): Mistaken {
  const judgedFrom = changes.findLastIndex(({ kind }) => kind === "link");
  return { mistake: mistake.replaceAll(id, "<id>"), recording: { ...recording, changes, judgedFrom } };
}

const id = /[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}/g;
