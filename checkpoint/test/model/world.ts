import { fold, voidReason } from "../../src/log/fold.ts";
import type { LogRecord, NumberedRecord } from "../../src/log/record.ts";
import type { RunState } from "../../src/log/state.ts";

/** One process of the model between two of its steps; it may sleep there for as long as the exploration likes. */
export type Actor = Readonly<{
  role: "restore" | "trainer" | "prune" | "compact";
  attempt: number;
  pod: string;
  phase: string;
  /** The last number of the log when it looked. */
  seen: number;
  /** Digests it has decided about. */
  targets: readonly string[];
  left: number;
}>;

/** The storage and everyone who uses it. */
export type World = Readonly<{
  /** Every record that was created on top of the log, ever, in order: number 1 first. */
  all: readonly number[];
  /** Numbers up to this one were pruned. */
  pruned: number;
  /** What stale writers created under pruned numbers. */
  garbage: readonly (readonly [number, number])[];
  /** Checkpoints whose bytes are there. */
  bytes: readonly string[];
  actors: readonly Actor[];
}>;

const records: LogRecord[] = [];
const identities = new Map<string, number>();
const folded = new Map<string, RunState>();

/** A small number for a record, equal for equal records. */
export function intern(record: LogRecord): number {
  const key = JSON.stringify(record);
  const known = identities.get(key) ?? records.push(record) - 1;
  identities.set(key, known);
  return known;
}

/** The fold of everything that was ever appended: what is true. */
export function truth({ all }: World, upTo = all.length): RunState {
  return foldOf(all.slice(0, upTo), 1);
}

/** What a reader finds, which looks from the top down to the newest `open` and at nothing below it. */
export function read(world: World): RunState {
  const found: number[] = [];
  let number = world.all.length;
  for (; number > 0; number -= 1) {
    const identity = at(world, number);
    if (identity === undefined) throw new Error(`Cannot read record ${number} because it was pruned above the open`);
    found.unshift(identity);
    if (records[identity]?.kind === "open") break;
  }
  return foldOf(found, Math.max(1, number));
}

/** Whether the record is where readers look. */
export function stands(world: World, number: number, record: LogRecord): boolean {
  const opened = read(world).opened?.number ?? 1;
  return number >= opened && at(world, number) === intern(record);
}

/** Creates a number exclusively: the new world, or null where the number is taken. */
export function create(world: World, number: number, record: LogRecord): World | null {
  if (at(world, number) !== undefined) return null;
  const identity = intern(record);
  if (number === world.all.length + 1) return { ...world, all: [...world.all, identity] };
  return { ...world, garbage: [...world.garbage, [number, identity]] };
}

/** What breaks in a world, or null: the safety that every interleaving has to keep. */
export function broken(world: World, before: World | null): string | null {
  const now = truth(world);
  if (!isSame(read(world), now)) return "a reader at the newest open sees another history (I1)";
  for (const { digest } of now.checkpoints) {
    if (!world.bytes.includes(digest)) return `${digest} is in the log and its bytes are gone (I6)`;
  }
  for (const { role, phase, seen, targets } of world.actors) {
    if (role !== "trainer" || phase !== "acknowledged") continue;
    const [digest = ""] = targets;
    const then = truth(world, seen + 1);
    if (!then.checkpoints.some((ref) => ref.digest === digest))
      return `${digest} was acknowledged and does not count (I1)`;
  }
  return before === null ? null : brokenDeletion(truth(before), now);
}

/** No number was opened by two pods, as seen by the pods themselves. */
export function openedTwice({ actors }: World): string | null {
  const open = actors.filter(({ role, phase }) => role === "restore" && phase === "opened");
  const attempts = open.map(({ attempt }) => attempt);
  return new Set(attempts).size === attempts.length ? null : "two pods have opened one attempt (I1)";
}

/** A tombstone that has just come into force must leave the base, and two newer ones of whatever was not refused. */
function brokenDeletion(before: RunState, now: RunState): string | null {
  const gone = before.checkpoints.filter(({ digest }) => !now.checkpoints.some((ref) => ref.digest === digest));
  for (const { digest, step } of gone) {
    if (now.opened?.base === digest) return `${digest} was deleted and is the base (I6)`;
    if (before.refused.some((refusal) => refusal.digest === digest)) continue;
    const usable = now.checkpoints.filter((ref) => !now.refused.some((refusal) => refusal.digest === ref.digest));
    if (usable.filter((ref) => ref.step > step).length < 2) return `${digest} was deleted without two newer (I6)`;
  }
  return null;
}

/** Whether a record would count for a reader now. */
export function counts(world: World, record: LogRecord): boolean {
  return voidReason(read(world), record) === null;
}

const compared = new WeakMap<RunState, RunState>();

/** States are folded once per log, so that most comparisons are of a pair that was compared before. */
function isSame(one: RunState, other: RunState): boolean {
  if (one === other || compared.get(one) === other) return true;
  if (JSON.stringify(one) !== JSON.stringify(other)) return false;
  compared.set(one, other);
  return true;
}

function at({ all, pruned, garbage }: World, number: number): number | undefined {
  return number > pruned ? all[number - 1] : garbage.find(([taken]) => taken === number)?.[1];
}

function foldOf(identities: readonly number[], first: number): RunState {
  const key = `${first}:${identities.join(",")}`;
  const known = folded.get(key);
  if (known !== undefined) return known;
  const numbered = identities.flatMap((identity, index): NumberedRecord[] => {
    const record = records[identity];
    return record === undefined ? [] : [{ number: first + index, record }];
  });
  const state = fold(numbered);
  folded.set(key, state);
  return state;
}
