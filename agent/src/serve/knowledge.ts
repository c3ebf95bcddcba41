import { lineage } from "@trainingrun/checkpoint/candidates.ts";
import type { AgentState } from "@trainingrun/checkpoint/contract/agent-state.ts";
import type { CheckpointSummary, RefusedSummary } from "@trainingrun/checkpoint/contract/checkpoint-summary.ts";
import type { Digest, Tier } from "@trainingrun/checkpoint/contract/digest.ts";
import type { RetentionPolicy, VolumeDurability } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import type { Restored } from "@trainingrun/checkpoint/contract/restored.ts";
import { find, isRefused } from "@trainingrun/checkpoint/log/fold.ts";
import type { CheckpointRef, RunState } from "@trainingrun/checkpoint/log/state.ts";
import { type Pause, type RetentionPlan, rankByMetric } from "@trainingrun/checkpoint/retention.ts";

/** One committed checkpoint of the run's lineage, as the agent sees it. */
export type Shelved = Readonly<{ summary: CheckpointSummary; verified: boolean; kept: readonly string[] }>;

/** What the agent knows at one moment; replaced as a whole, never changed. */
export type Knowledge = Readonly<{
  phase: AgentState["phase"];
  restored: Restored | null;
  /** Newest first, refused ones left out. */
  shelf: readonly Shelved[];
  best: CheckpointSummary | null;
  /** Newest first. */
  refused: readonly RefusedSummary[];
  done: Digest | null;
  verificationFailures: number;
  problems: readonly Problem[];
}>;

/** A present problem of the storage: a stable CamelCase word, and the words for a person. */
export type Problem = Readonly<{ reason: string; message: string }>;

/** What an agent knows before its restore has ended. */
export const nothingKnown: Knowledge = {
  phase: "Restoring",
  restored: null,
  shelf: [],
  best: null,
  refused: [],
  done: null,
  verificationFailures: 0,
  problems: [],
};

/** The newest checkpoint of the lineage that is verified. */
export function latestVerified(knowledge: Knowledge): CheckpointSummary | null {
  return knowledge.shelf.find((one) => one.verified)?.summary ?? null;
}

/** What is known of the volume: its log's state, and what the agent has found out about its checkpoints. */
export type VolumeFindings = Readonly<{
  attempt: number;
  policy: RetentionPolicy;
  fenced: boolean;
  state: RunState;
  verified: ReadonlySet<Digest>;
  /** What does not verify on this node and is not refused: the node is suspected. */
  suspected: readonly RefusedSummary[];
  /** What retention last decided; null before it first did. */
  plan: RetentionPlan | null;
  /** Why retention had to go before the mirror; null while it has not. */
  beforeMirror: Problem | null;
  restored: Restored;
  problems: readonly Problem[];
}>;

/** What there is to know from. */
export type Findings = VolumeFindings &
  Readonly<{
    /** What the object store has, null until that was read, and what was on record before; null where the run has none. */
    mirror: Readonly<{ mirrored: ReadonlySet<Digest> | null; recorded: ReadonlySet<Digest>; done: boolean }> | null;
    durability: VolumeDurability;
  }>;

/** The knowledge that follows from the findings. */
export function knowledgeFrom(findings: Findings): Knowledge {
  const { state, plan, restored, mirror } = findings;
  const verified = countedAsVerified(findings);
  const reasons = new Map(plan?.keep.map(({ ref, reasons }) => [ref.digest, reasons]));
  const usable = lineage(state).filter(({ digest }) => !isRefused(state, digest));
  const matched = usable.filter(({ digest }) => verified.has(digest));
  const [best] = rankByMetric(matched, findings.policy);
  const own = state.refused.filter(({ attempt }) => attempt === findings.attempt);
  return {
    phase: findings.fenced ? "Fenced" : "Serving",
    restored,
    shelf: usable.map((ref) => ({
      summary: summaryOf(ref, mirror),
      verified: verified.has(ref.digest),
      kept: reasons.get(ref.digest) ?? [],
    })),
    best: best === undefined ? null : summaryOf(best, mirror),
    refused: refusals(findings),
    done: findings.durability === "Ephemeral" && mirror?.done !== true ? null : (state.done?.manifest ?? null),
    verificationFailures: own.length,
    problems: [...findings.problems, ...volumeProblems(findings), ...logProblems(findings)],
  };
}

/** What was matched and outlives the pod: nobody may rely on more, for the next attempt would not find it (I10). */
function countedAsVerified({ verified, mirror, durability }: Findings): ReadonlySet<Digest> {
  return durability === "Durable" ? verified : verified.intersection(mirror?.mirrored ?? new Set());
}

/** A checkpoint as the contract shows it. */
function summaryOf(
  { step, epoch, attempt, digest, bytes, time, metrics }: CheckpointRef,
  mirror: Findings["mirror"],
): CheckpointSummary {
  const when = { step, ...(epoch === undefined ? {} : { epoch }), attempt, time };
  const there = mirror?.mirrored ?? mirror?.recorded;
  const tiers: Tier[] = there?.has(digest) ? ["Volume", "ObjectStore"] : ["Volume"];
  return { ...when, digest, bytes, tiers, metrics };
}

/** What is suspected, refusals that the log still holds, and those that this pod's restore found, newest first, each once. */
function refusals({ state, suspected, restored }: Findings): RefusedSummary[] {
  const logged = state.refused.toReversed().flatMap((refusal) => {
    const ref = find(state, refusal.digest);
    if (ref === undefined) return [];
    const { digest, reason, message, node, time } = refusal;
    return [{ step: ref.step, attempt: ref.attempt, digest, reason, message, node, time }];
  });
  const known = new Set([...suspected, ...logged].map(({ digest }) => digest));
  return [...suspected, ...logged, ...restored.refused.filter(({ digest }) => !known.has(digest))];
}

function volumeProblems({ plan, beforeMirror }: Findings): Problem[] {
  const problems: Problem[] = [];
  if (plan?.pauseSaving) {
    problems.push(pauseProblem(plan.pauseSaving));
  } else if (plan?.shrunk) {
    const message = `Retention keeps only what it must, for the byte budget: ${plan.shrunk}.`;
    problems.push({ reason: "BudgetTight", message });
  }
  if (beforeMirror !== null) {
    const message = `Retention removed checkpoints that the object store did not have, for ${beforeMirror.message}`;
    problems.push({ reason: beforeMirror.reason, message });
  }
  return problems;
}

function pauseProblem({ limit, overview }: Pause): Problem {
  if (limit === "Log") {
    const message = `Saving is paused: the log has no room for another checkpoint, and those that it has may go only when two newer ones are verified (${overview}). What keeps them from that is told beside this, or in the agent's log.`;
    return { reason: "LogFull", message };
  }
  const message = `Saving is paused: the byte budget leaves no room for another checkpoint and nothing more may go (${overview}). Raise checkpoint.maxBytes, which the next attempt goes by: suspend and resume the run.`;
  return { reason: "BudgetSpent", message };
}

/** A log that lost records is told of: what they said counts for nothing any more. */
function logProblems({ state, attempt }: Findings): Problem[] {
  const problems: Problem[] = [];
  if (state.damaged.length > 0) {
    const numbers = state.damaged.slice(0, 10).join(", ");
    problems.push({ reason: "LogDamaged", message: `Records of the log are missing or damaged: ${numbers}` });
  }
  if (state.last > 0 && (state.opened?.attempt ?? 0) < attempt) {
    problems.push({ reason: "LogIncomplete", message: `The log no longer holds the open of attempt ${attempt}` });
  }
  return problems;
}
