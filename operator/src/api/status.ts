import { maxDumpLength } from "@trainingrun/checkpoint/contract/agent-state.ts";
import { CheckpointSummary, KeptReasons, RefusedSummary } from "@trainingrun/checkpoint/contract/checkpoint-summary.ts";
import { AttemptNumber, Decimal, Digest, Metrics, Step, Tier } from "@trainingrun/checkpoint/contract/digest.ts";
import { EnvironmentVerdict, PartialLoad, ReplayVerdict } from "@trainingrun/checkpoint/contract/resume.ts";
import { FinalCheckpoint } from "@trainingrun/checkpoint/contract/termination.ts";
import { z } from "zod";
import { Cause, Charge } from "./cause.ts";
import { Condition } from "./conditions.ts";

/**
 * How many entries the lists of the status hold; older ones are folded or dropped. `livePods` is as many as a run may
 * have workers: while an attempt lives, every one of its pods is on record, so that none is missed.
 */
export const statusLimits = {
  attempts: 20,
  pods: 8,
  livePods: 1024,
  history: 60,
  checkpoints: 16,
  refused: 16,
  namings: 3,
  suspects: 4,
} as const;

const Time = z.iso.datetime().describe("RFC 3339, UTC.");

export const RunState = z
  .enum(["Pending", "Restoring", "Running", "Saving", "Backoff", "Fencing", "Suspended", "Complete", "Failed"])
  .describe("Summary for the printer column. Conditions are the truth.");
export type RunState = z.infer<typeof RunState>;

export const Stop = z.object({
  attempt: AttemptNumber.describe("The attempt that is being ended."),
  cause: Cause.describe("Why; the attempt's ledger entry takes it over."),
  charge: Charge.optional().describe("What the end costs, where the trainer had ended before the stop."),
  reason: z.string().max(63).describe("A stable CamelCase word.").optional(),
  message: z.string().max(1024).describe("What happened, in words.").optional(),
  exitCode: z.int().describe("The trainer's exit code, where it had ended before the stop.").optional(),
  time: Time.describe("When the stop was decided."),
});
export type Stop = z.infer<typeof Stop>;

export const Base = z.object({
  step: Step.optional(),
  digest: Digest.optional().describe("The checkpoint the lineage was opened on; absent: a fresh start."),
  sinceAttempt: AttemptNumber.describe("The first attempt of this lineage."),
  generation: z.int().min(0).describe("The run's generation when that attempt was numbered."),
  from: z.string().max(4096).optional().describe("The resume.from that was taken, as JSON; it is not taken again."),
});
export type Base = z.infer<typeof Base>;

export const Silence = z.object({
  attempt: AttemptNumber.describe("The attempt whose pods are on these nodes."),
  since: Time.describe(
    "By the operator's own sight: when an agent there last answered, or when the silence was first seen. Never by a node's clock.",
  ),
  nodes: z.array(z.string().max(253)).max(statusLimits.pods),
});
export type Silence = z.infer<typeof Silence>;

export const ProgressStatus = z.object({
  step: Step.describe("The last step reported as complete."),
  targetStep: Step.optional(),
  percentage: z.int().min(0).max(100).optional(),
  estimatedRemainingSeconds: z.int().min(0).optional(),
  metrics: Metrics,
  lastUpdateTime: Time,
  advanceTime: Time.optional().describe(
    "When the operator first heard of this step; lastUpdateTime is of the trainer's clock.",
  ),
  history: z
    .array(z.tuple([Step, Decimal]))
    .max(statusLimits.history)
    .describe("Points [step, loss], downsampled evenly over the whole run."),
});
export type ProgressStatus = z.infer<typeof ProgressStatus>;

export const RecoverySeconds = z
  .object({
    detect: Decimal.optional().describe("From the end of the last attempt to the number of this one."),
    schedule: Decimal.optional().describe("From there to the start of the agent's container."),
    restore: Decimal.optional().describe("From there to the verified hand-over."),
    firstStep: Decimal.optional().describe("From there to the first new step."),
  })
  .describe("Where the time between two attempts went. Floats are strings.");
export type RecoverySeconds = z.infer<typeof RecoverySeconds>;

export const ForkedFrom = z.object({
  uid: z.string().min(1).max(63).describe("The run that saved it. One made later under the same name is another."),
  step: Step.optional(),
  directory: z.string().max(255).optional().describe("Its directory, where it was chosen by an address."),
  digest: Digest.optional(),
  claim: z.string().max(253).optional().describe("The claim that it is read from."),
  bucket: z.string().max(63).optional().describe("The bucket that it is read from."),
  prefix: z.string().max(2048).optional().describe("What the run's directory lies below there."),
  since: AttemptNumber.describe(
    "The attempt that was asked for it first; later ones ask the log whether it was taken.",
  ),
});
export type ForkedFrom = z.infer<typeof ForkedFrom>;

export const QueuePlace = z.object({
  name: z.string().max(63).optional(),
  priorityClass: z.string().max(63).optional(),
  group: z.string().max(63).optional().describe("Under which name the queue has the pods of a gang together."),
});
export type QueuePlace = z.infer<typeof QueuePlace>;

export const AttemptEntry = z.object({
  number: AttemptNumber,
  generation: z.int().min(0).describe("The spec's generation that the attempt runs."),
  podHash: z
    .string()
    .max(63)
    .optional()
    .describe(
      "Tells whether an edit since then changes the attempt's pods: one that does supersedes it while it starts.",
    ),
  workers: z
    .int()
    .min(1)
    .optional()
    .describe("How many pods the attempt has, whatever the spec says since; absent: one."),
  queue: QueuePlace.optional().describe(
    "The queue for runs that the attempt's pods are put into, by the run's labels when it began; whatever they say since. Absent: into none, or begun by a version that did not keep it.",
  ),
  pods: z
    .array(
      z.object({
        uid: z.string().max(63),
        node: z.string().max(253).optional(),
        worker: z.int().min(0).optional().describe("Absent: its place in the list."),
      }),
    )
    .max(statusLimits.livePods)
    .describe("The attempt's pods, by worker: all until its end is counted, then the first 8."),
  podCount: z.int().min(0).optional().describe("How many pods there were, where not all are listed."),
  startTime: Time.describe("When the number was written."),
  endTime: Time.optional().describe("When the kubelet reported the last container's end; absent while it lives."),
  cause: Cause.optional(),
  charge: Charge.optional().describe("What the end cost."),
  chargeDueTime: Time.optional().describe(
    "Only of a gang: what the end cost is counted then, unless the loss of one of its nodes turns out to be behind it before.",
  ),
  reason: z.string().max(63).optional().describe("The cluster's or kubelet's own word for the end."),
  message: z
    .string()
    .max(1024)
    .optional()
    .describe("The last lines of the trainer's log, or the words of the refusal."),
  exitCode: z.int().optional(),
  suspectNode: z
    .string()
    .max(253)
    .optional()
    .describe("The node on which checkpoints did not verify, where the attempt had several pods."),
  from: z.string().max(4096).optional().describe("The resume.from that the attempt was asked to open with, as JSON."),
  source: ForkedFrom.optional().describe("The checkpoint of another run that the attempt was to begin with a copy of."),
  opened: z
    .boolean()
    .optional()
    .describe("True once a restore handed over, so the attempt's number stands in the log."),
  resumedFrom: z
    .object({ step: Step, digest: Digest, tier: Tier })
    .optional()
    .describe("What the attempt started from; absent on a fresh start."),
  firstStepTime: Time.optional(),
  lastStep: Step.optional().describe("The last step the attempt reported."),
  lastStepSlack: z
    .int()
    .min(0)
    .optional()
    .describe("Steps that it may have done beyond that without reporting them, at the pace it had."),
  lostSteps: z
    .int()
    .min(0)
    .optional()
    .describe(
      "lastStep minus the step that the next attempt resumed from, or had to; where none follows, minus the newest verified.",
    ),
  finalCheckpoint: FinalCheckpoint.optional(),
  graceUsedSeconds: Decimal.optional(),
  graceSeconds: z.int().min(0).optional().describe("The grace period that the final checkpoint had."),
  recoverySeconds: RecoverySeconds.optional(),
  environment: EnvironmentVerdict.optional().describe(
    "How the environment of the attempt differs from the one that saved its checkpoint.",
  ),
  partial: PartialLoad.optional().describe("What resume.partial left out; absent where every weight was taken."),
  replay: ReplayVerdict.optional().describe("Whether the recorded steps after the checkpoint came out the same again."),
  dump: z
    .string()
    .max(maxDumpLength)
    .optional()
    .describe(
      "What the trainer's process was doing when it last did no step for stall.timeoutSeconds; all of it is on the volume, in diagnostics/.",
    ),
  fences: z
    .boolean()
    .optional()
    .describe("Whether the object store refuses to create a key twice, as the attempt's agent found."),
});
export type AttemptEntry = z.infer<typeof AttemptEntry>;

export const CatalogueEntry = CheckpointSummary.extend({
  kept: KeptReasons.optional().describe("Why retention keeps it: last, best:loss, every:10000, verified, base, done."),
});
export type CatalogueEntry = z.infer<typeof CatalogueEntry>;

export const RefusedEntry = RefusedSummary.extend({
  namedBy: z
    .array(z.object({ attempt: AttemptNumber, node: z.string().max(253) }))
    .max(statusLimits.namings)
    .optional()
    .describe(
      "The first attempts that could not match it since it was last matched, and where they ran. By the words of two nodes, or of three attempts, no attempt resumes from it any more, also where the log does not refuse it. Absent: the node alone.",
    ),
});
export type RefusedEntry = z.infer<typeof RefusedEntry>;

export const RetryStatus = z.object({
  failures: z.int().min(0).describe("Failures since the last newly verified checkpoint."),
  failuresLeft: z.int().min(0).describe("How many more the run survives."),
  disruptions: z.int().min(0).describe("Ends that the program did not cause."),
  fruitless: z.int().min(0).describe("Attempts in a row that ended without advancing; the back-off doubles with them."),
  verifiedStep: Step.optional().describe("The highest verified step of this lineage. Only a higher one refills."),
  furthestStep: Step.optional().describe(
    "The highest step that an attempt of this lineage has reported or resumed from. Only a higher one is an advance.",
  ),
  nextAttemptTime: Time.optional().describe("No attempt starts before."),
});
export type RetryStatus = z.infer<typeof RetryStatus>;

export const Totals = z.object({
  attempts: z.int().min(0),
  disruptions: z.int().min(0),
  failures: z.int().min(0),
  stalls: z.int().min(0),
  steps: z.int().min(0).describe("Steps trained, those included that were lost and done again."),
  lostSteps: z.int().min(0),
  wallSeconds: z.int().min(0).describe("Time of all ended attempts and of the recoveries between them."),
  trainingSeconds: z.int().min(0).describe("Of that, the time between an attempt's first and last step."),
  goodput: Decimal.optional().describe(
    "The share of the wall time that went into steps which were kept, 0 to 1, up to the last step heard of; absent before the first.",
  ),
});
export type Totals = z.infer<typeof Totals>;

/**
 * What the operator has decided and recorded. It mirrors the checkpoint log and is never the only place
 * where a checkpoint is known.
 */
export const TrainingRunStatus = z.object({
  observedGeneration: z.int().min(0).optional(),
  state: RunState.optional(),
  startTime: Time.optional().describe(
    "Start of the first attempt since the last suspension; the deadline counts from it.",
  ),
  attempt: z.int().min(0).optional().describe("The newest number given out. It never falls (I8)."),
  fencedAttempt: z
    .int()
    .min(0)
    .optional()
    .describe("Attempts up to this one were given up unseen. Only nodeLost: Fence sets it."),
  silence: Silence.optional().describe("Nodes that nothing is heard of, while nodeLost: Fence counts."),
  stop: Stop.optional().describe(
    "Written before the pods of an attempt are deleted, so that a deletion of ours is known.",
  ),
  removalTime: Time.optional().describe(
    "When the removal of a deleted run's objects was first tried; the wait for it counts from it.",
  ),
  base: Base.optional(),
  progress: ProgressStatus.optional(),
  interval: z
    .object({ seconds: Decimal, why: z.string().max(255) })
    .optional()
    .describe("How far two saves are apart at present, and what that follows from, as the trainer tells."),
  graceNeededSeconds: z
    .int()
    .min(0)
    .optional()
    .describe("What terminationGracePeriodSeconds has to be for the final checkpoint, by the saves measured."),
  latestVerified: CheckpointSummary.optional(),
  best: CheckpointSummary.optional(),
  checkpoints: z.array(CatalogueEntry).max(statusLimits.checkpoints).optional().describe("Verified, newest first."),
  refused: z.array(RefusedEntry).max(statusLimits.refused).optional().describe("Newest first."),
  suspects: z
    .array(z.object({ step: Step, digest: Digest, stuckAt: Step }))
    .max(statusLimits.suspects)
    .optional()
    .describe(
      "Whole checkpoints after which the run crashed twice at the same step; resumed from only where resume.from chooses one. A choice that is taken clears the list.",
    ),
  attempts: z.array(AttemptEntry).max(statusLimits.attempts).optional().describe("Ledger, newest first."),
  retry: RetryStatus.optional(),
  totals: Totals.optional(),
  conditions: z.array(Condition).max(16).optional(),
});
export type TrainingRunStatus = z.infer<typeof TrainingRunStatus>;
