import { z } from "zod";
import type { TrainingRunStatus } from "../api/status.ts";
import { mergePatchOf } from "../kubernetes/merge-patch.ts";

const Stored = z.looseObject({ attempts: z.array(z.looseObject({ number: z.int() })) });

/**
 * A status with the ledger as it is sent. A list is replaced whole, so an entry that this version did not change goes
 * back as it was stored: what a newer version wrote into it survives.
 */
export function withStoredEntries(
  status: TrainingRunStatus,
  before: Readonly<{ read: TrainingRunStatus; stored: unknown }>,
): unknown {
  const stored = Stored.safeParse(before.stored);
  if (!stored.success || status.attempts === undefined) return status;
  const attempts = status.attempts.map((entry) => {
    const byNumber = ({ number }: Readonly<{ number: number }>) => number === entry.number;
    const read = before.read.attempts?.find(byNumber);
    const isUnchanged = read !== undefined && mergePatchOf(read, entry) === undefined;
    return isUnchanged ? (stored.data.attempts.find(byNumber) ?? entry) : entry;
  });
  return { ...status, attempts };
}
