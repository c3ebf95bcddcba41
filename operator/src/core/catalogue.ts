import type { CheckpointSummary, RefusedSummary } from "@trainingrun/checkpoint/contract/checkpoint-summary.ts";
import { type CatalogueEntry, type RefusedEntry, statusLimits, type TrainingRunStatus } from "../api/status.ts";
import type { AttemptFacts } from "./facts.ts";
import { openEntry } from "./ledger.ts";
import { named, wordsAgainst } from "./node-suspicion.ts";

type Catalogue = Pick<TrainingRunStatus, "latestVerified" | "best" | "checkpoints" | "refused">;

/**
 * Mirrors what the agent of the open attempt knows. Without its answer, the records of an ended one add to what
 * status holds. The newest on record stays as `latestVerified` as long as no other is known, even if it is refused:
 * it is how a lost volume is told from a first start (I10). `checkpoints` and `best` hold only what can be resumed from.
 */
export function nextCatalogue(status: TrainingRunStatus, facts: AttemptFacts): Catalogue {
  const refused = refusedBy(status, facts);
  const isRefused = ({ digest }: { digest: string }) => refused.some((entry) => entry.digest === digest);
  // An agent that restores, or cannot read the log, tells of none: then what is on record stands, but for the refused.
  const onRecord = noneLeft(status, facts) ? {} : status;
  const recorded = facts.catalogue.length > 0 ? facts.catalogue : (onRecord.checkpoints ?? []);
  const newest = recorded.find(({ digest }) => digest === facts.latestVerified?.digest) ?? facts.latestVerified;
  const checkpoints = uniqueByDigest([...(newest ? [newest] : []), ...recorded])
    .filter((entry) => !isRefused(entry))
    .slice(0, statusLimits.checkpoints);
  const latest = [facts.latestVerified, status.latestVerified].find((entry) => entry && !isRefused(entry));
  const latestVerified = latest ?? summaryOf(checkpoints[0]) ?? status.latestVerified;
  const best = facts.catalogue.length > 0 ? [facts.best] : [facts.best, onRecord.best];
  return {
    ...(latestVerified ? { latestVerified } : {}),
    best: best.find((entry) => entry && !isRefused(entry)) ?? undefined,
    checkpoints: checkpoints.length > 0 ? checkpoints : undefined,
    refused: refused.length > 0 ? refused : undefined,
  };
}

/** A catalogue's entry without what only the catalogue says. */
export function summaryOf(entry: CatalogueEntry | undefined): CheckpointSummary | undefined {
  if (entry === undefined) return undefined;
  const { kept: _, ...summary } = entry;
  return summary;
}

/**
 * The restore looked at every checkpoint and none verified; its record has room for the first few alone. Where the
 * user chose one that is not there, nothing is said of the others.
 */
function noneLeft(status: TrainingRunStatus, facts: AttemptFacts): boolean {
  return facts.noneVerified && openEntry(status)?.from === undefined;
}

/** What is on record and what the open attempt could not match, with its word on each; newest first. */
function refusedBy(status: TrainingRunStatus, facts: AttemptFacts): RefusedEntry[] {
  const attempt = openEntry(status)?.number ?? 0;
  const known = (status.refused ?? []).filter((entry) => !isMatchedSince(entry, facts, attempt));
  const isNew = ({ digest }: RefusedSummary) => !known.some((entry) => entry.digest === digest);
  const all: readonly RefusedEntry[] = [...uniqueByDigest(facts.refused).filter(isNew), ...known];
  return all.slice(0, statusLimits.refused).map((entry) => {
    const said = facts.refused.filter(({ digest }) => digest === entry.digest);
    const before = isNew(entry) ? { ...entry, namedBy: [] } : entry;
    return said.reduce((sum, each) => named(sum, each, attempt), before);
  });
}

/**
 * What one node could not verify and the present one has: it was the node, not the checkpoint. What a restore began with it
 * has matched, and only what is said after that counts.
 */
function isMatchedSince(entry: RefusedEntry, { catalogue, resumedFrom }: AttemptFacts, attempt: number): boolean {
  if (catalogue.some(({ digest }) => digest === entry.digest)) return true;
  return resumedFrom?.digest === entry.digest && wordsAgainst(entry).every((word) => word.attempt < attempt);
}

function uniqueByDigest<T extends Pick<CheckpointSummary, "digest">>(entries: readonly T[]): T[] {
  return entries.filter((entry, index) => entries.findIndex(({ digest }) => digest === entry.digest) === index);
}
