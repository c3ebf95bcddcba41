import { candidates } from "../../src/candidates.ts";
import { fold, isRefused } from "../../src/log/fold.ts";
import type { LogRecord } from "../../src/log/record.ts";
import type { RunState } from "../../src/log/state.ts";
import { verifyCheckpoint } from "../../src/verify.ts";
import { type Processes, runUid } from "./processes.ts";
import type { SharedDisk } from "./shared-disk.ts";

/** What every moment of every order has to keep, or the first thing that it does not. */
export async function whatIsWrong(moment: Processes): Promise<string | null> {
  const { disk } = moment;
  const told = moment.told.flatMap((words) => words ?? []);
  const state = fold(disk.log);
  const checks = [
    () => openedTwice(told),
    () => lostAcknowledged(told, state, disk),
    () => brokenBase(told, disk),
    () => brokenCandidate(state, disk),
    () => unnamedFailure(told),
  ];
  for (const check of checks) {
    const problem = await check();
    if (problem !== null) return problem;
  }
  return null;
}

function openedTwice(told: readonly string[]): string | null {
  const attempts = told.flatMap((words) => /^opened (\d+)/.exec(words)?.[1] ?? []);
  return new Set(attempts).size === attempts.length ? null : "two pods have opened one attempt (I1)";
}

/** What a trainer was told stands, unless its tombstone does, or its own record was damaged later. */
function lostAcknowledged(told: readonly string[], state: RunState, disk: SharedDisk): string | null {
  for (const words of told) {
    const [, step, attempt] = /^saved (\d+) of (\d+)$/.exec(words) ?? [];
    if (step === undefined) continue;
    if (state.checkpoints.some((ref) => ref.step === Number(step) && ref.attempt === Number(attempt))) continue;
    const mayBeDamaged = disk.log.some((entry) => "damaged" in entry);
    if (mayBeDamaged && !recordsOf(disk, "commit").some(({ record }) => isOf(record, { step, attempt }))) continue;
    return `step ${step} of attempt ${attempt} was acknowledged and does not count (I1)`;
  }
  return null;
}

function isOf(record: Extract<LogRecord, { kind: "commit" }>, of: { step: string; attempt: string | undefined }) {
  return record.step === Number(of.step) && record.attempt === Number(of.attempt);
}

/** An attempt trains only on bytes that match, and never from step 0 while there is something to resume from. */
async function brokenBase(told: readonly string[], disk: SharedDisk): Promise<string | null> {
  for (const words of told) {
    const [, attempt, step] = /^opened (\d+) at (\d+)$/.exec(words) ?? [];
    if (attempt === undefined || attempt === "1") continue;
    if (step === "0") return `attempt ${attempt} began at step 0 beside checkpoints (I10)`;
    const open = recordsOf(disk, "open").findLast(({ record }) => record.attempt === Number(attempt))?.record;
    const base = open?.state.checkpoints.find(({ digest }) => digest === open.base);
    if (base === undefined) continue;
    if (!(await isWhole(disk, base))) return `attempt ${attempt} resumed from bytes that do not match (I2)`;
  }
  return null;
}

/** What the log offers is there; what was damaged from the start is not what the program is asked about. */
async function brokenCandidate(state: RunState, disk: SharedDisk): Promise<string | null> {
  for (const { directory, digest, step } of candidates(state, { base: null, refused: [] })) {
    if (!disk.data.has(directory)) return `step ${step} is in the log and its bytes are not there (I3, I6)`;
    if (isRefused(state, digest)) return `step ${step} is refused and a candidate`;
  }
  return null;
}

/** Where no disk fails, a process ends well or because a newer attempt holds the log; where one does, it says so. */
function unnamedFailure(told: readonly string[]): string | null {
  const isDamaged = told.some((words) => words.startsWith("damaged"));
  const named = isDamaged ? /^failed (Fenced|SaveFailed|StorageUnavailable|NoVerifiedCheckpoint)/ : /^failed Fenced/;
  const failed = told.find((words) => words.startsWith("failed") && !named.test(words));
  return failed === undefined ? null : `a process failed and was not fenced: ${failed}`;
}

async function isWhole(disk: SharedDisk, ref: { directory: string; digest: string }): Promise<boolean> {
  const store = disk.view(runUid, async () => undefined);
  return (await verifyCheckpoint(store, ref)).ok;
}

function recordsOf<K extends LogRecord["kind"]>(disk: SharedDisk, kind: K) {
  return disk.log.flatMap((entry) =>
    "record" in entry && isKind(entry.record, kind) ? [{ number: entry.number, record: entry.record }] : [],
  );
}

function isKind<K extends LogRecord["kind"]>(record: LogRecord, kind: K): record is Extract<LogRecord, { kind: K }> {
  return record.kind === kind;
}
