import { z } from "zod";

const Checkpoint = z.object({
  step: z.int(),
  attempt: z.int(),
  digest: z.string(),
  bytes: z.int(),
  tiers: z.array(z.string()).default([]),
});

const Attempt = z.object({
  number: z.int(),
  pods: z.array(z.object({ uid: z.string(), node: z.string().optional() })).default([]),
  startTime: z.string().optional(),
  endTime: z.string().optional(),
  cause: z.string().optional(),
  charge: z.string().optional(),
  reason: z.string().optional(),
  message: z.string().optional(),
  exitCode: z.int().optional(),
  resumedFrom: z.object({ step: z.int(), digest: z.string(), tier: z.string().optional() }).optional(),
  firstStepTime: z.string().optional(),
  lastStep: z.int().optional(),
  lostSteps: z.int().optional(),
  finalCheckpoint: z.string().optional(),
  recoverySeconds: z.record(z.string(), z.string()).optional(),
  dump: z.string().optional(),
});

const Condition = z.object({
  type: z.string(),
  status: z.enum(["True", "False", "Unknown"]),
  reason: z.string(),
  message: z.string(),
});

/** A TrainingRun as someone outside the operator reads it: only what the end-to-end code looks at, and nothing assumed. */
export const RunView = z.object({
  metadata: z.object({ name: z.string(), namespace: z.string(), uid: z.string(), creationTimestamp: z.string() }),
  spec: z.object({ suspend: z.boolean().optional() }),
  status: z
    .object({
      state: z.string().optional(),
      attempt: z.int().optional(),
      fencedAttempt: z.int().optional(),
      silence: z.object({ attempt: z.int(), since: z.string(), nodes: z.array(z.string()) }).optional(),
      progress: z
        .object({
          step: z.int(),
          targetStep: z.int().optional(),
          metrics: z.array(z.object({ name: z.string(), value: z.string() })).default([]),
          history: z.array(z.tuple([z.int(), z.string()])).default([]),
        })
        .optional(),
      latestVerified: Checkpoint.optional(),
      checkpoints: z.array(Checkpoint).default([]),
      refused: z
        .array(
          z.object({
            step: z.int(),
            attempt: z.int(),
            digest: z.string(),
            reason: z.string(),
            message: z.string().default(""),
            node: z.string().default(""),
          }),
        )
        .default([]),
      attempts: z.array(Attempt).default([]),
      retry: z.object({ failuresLeft: z.int().optional(), disruptions: z.int().optional() }).optional(),
      totals: z.record(z.string(), z.union([z.number(), z.string()])).optional(),
      conditions: z.array(Condition).default([]),
    })
    .default({ checkpoints: [], refused: [], attempts: [], conditions: [] }),
});
export type RunView = z.infer<typeof RunView>;
export type AttemptView = z.infer<typeof Attempt>;
export type ConditionView = z.infer<typeof Condition>;

/** A pod as the harness reads it. */
export const PodView = z.object({
  metadata: z.object({
    name: z.string(),
    namespace: z.string(),
    uid: z.string(),
    labels: z.record(z.string(), z.string()).default({}),
    deletionTimestamp: z.string().optional(),
  }),
  spec: z.object({ nodeName: z.string().optional() }),
  status: z
    .object({ phase: z.string().optional(), podIP: z.string().optional(), startTime: z.string().optional() })
    .default({}),
});
export type PodView = z.infer<typeof PodView>;

/** The condition of a type; undefined when the run does not carry it. */
export function conditionOf(run: RunView, type: string): ConditionView | undefined {
  return run.status.conditions.find((condition) => condition.type === type);
}

/** Whether the run has ended, either way. */
export function hasEnded(run: RunView): boolean {
  return ["Complete", "Failed"].some((type) => conditionOf(run, type)?.status === "True");
}
