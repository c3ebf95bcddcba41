import { Digest, Step } from "@trainingrun/checkpoint/contract/digest.ts";
import { z } from "zod";
import { CheckpointSpec } from "./checkpoint-spec.ts";
import { RetrySpec } from "./retry-spec.ts";
import { withRules } from "./rule.ts";
import { PodTemplate } from "./template.ts";

const From = withRules(
  z.strictObject({
    step: Step.optional().describe("The checkpoint of this step."),
    run: z
      .string()
      .min(1)
      .max(45)
      .optional()
      .describe(
        "Of this other run in the same namespace, which shares a claim or a bucket; of the run itself when left out.",
      ),
    uri: z
      .string()
      .min(1)
      .max(2048)
      .optional()
      .describe(
        "A checkpoint anywhere, by address: s3://bucket/prefix/uid/data/directory at the endpoint of checkpoint.objectStore, or pvc://claim/uid/data/directory.",
      ),
    digest: Digest.optional().describe("The digest of the checkpoint at uri."),
  }),
  [
    {
      cel: "(has(self.step) && !has(self.uri) && !has(self.digest)) || (!has(self.step) && !has(self.run) && has(self.uri) && has(self.digest))",
      message: "resume.from is either {step}, or {run, step}, or {uri, digest}: keep the fields of one of them",
      holds: ({ step, run, uri, digest }) =>
        step !== undefined
          ? uri === undefined && digest === undefined
          : run === undefined && uri !== undefined && digest !== undefined,
    },
  ],
  "A checkpoint of the user's choice. Taken once per edit: the first attempt that opens with it makes it the lineage.",
);

const Resume = z
  .strictObject({
    from: From.optional(),
    partial: z
      .array(z.string().min(1).max(253))
      .max(64)
      .default([])
      .describe(
        "Patterns of weights that may be missing, new or of another shape: * stands for any characters, ? for one. Empty: every tensor must fit.",
      ),
    replaySteps: z
      .int()
      .min(0)
      .max(100_000)
      .default(0)
      .describe(
        "Steps after each checkpoint that are recorded, and compared when they are computed again after a resume.",
      ),
    unhealthy: z
      .enum(["Skip", "Accept"])
      .default("Skip")
      .describe("What to do with checkpoints that have new non-finite tensors."),
    environmentMismatch: z
      .enum(["Ignore", "Warn", "Block"])
      .default("Warn")
      .describe("What to do when image, code, packages, device, data or configuration differ from those that saved."),
    noneVerified: z
      .enum(["Fail", "StartOver"])
      .default("Fail")
      .describe("What to do when checkpoints existed and none verifies, or the claim is lost."),
  })
  .describe("What an attempt starts from.");

const NodeLost = withRules(
  z.strictObject({
    policy: z
      .enum(["Wait", "Fence"])
      .default("Wait")
      .describe("Wait: never two pods at once. Fence: give the silent pod up and start anew."),
    afterSeconds: z.int().min(30).max(86_400).optional().describe("How long a node may be silent. Fence only."),
  }),
  [
    {
      cel: "(has(self.policy) && self.policy == 'Fence') == has(self.afterSeconds)",
      message: "nodeLost.afterSeconds belongs to policy Fence and is needed there: write both, or policy Wait alone",
      holds: ({ policy, afterSeconds }) => (policy === "Fence") === (afterSeconds !== undefined),
    },
  ],
  "What to do when a node goes silent with a pod on it.",
);

/** `spec` of a TrainingRun. */
export const TrainingRunSpec = withRules(
  z.strictObject({
    template: PodTemplate,
    workers: z
      .int()
      .min(1)
      .max(1024)
      .default(1)
      .describe("Pods of the gang: they start, stop and restart together. An edit applies to the next attempt."),
    checkpoint: CheckpointSpec,
    resume: Resume.prefault({}),
    retry: RetrySpec.prefault({}),
    stall: z
      .strictObject({ timeoutSeconds: z.int().min(30).max(604_800) })
      .optional()
      .describe(
        "No new step for this long, counted from the attempt's first one, is a stall: the process is asked what it is doing, stopped, and tried again as a failure. Longer than any step, with its evaluation, should take. Judged by the agent.",
      ),
    nodeLost: NodeLost.prefault({}),
    suspend: z.boolean().default(false).describe("Stop with a final checkpoint; false again resumes from it."),
    activeDeadlineSeconds: z
      .int()
      .min(1)
      .max(2_147_483_647)
      .optional()
      .describe("Longest time from the first attempt, or the last resumption, to the end."),
    ttlSecondsAfterFinished: z
      .int()
      .min(0)
      .max(2_147_483_647)
      .optional()
      .describe("Delete the run this long after it is Complete or Failed."),
    deletionPolicy: z
      .enum(["Retain", "Delete"])
      .default("Retain")
      .describe("What becomes of the claim and the objects when the run is deleted."),
    managedBy: z
      .string()
      .min(1)
      .max(63)
      .optional()
      .describe("Another controller's name keeps this operator away. Left out: trainingrun.dev/operator."),
  }),
  [
    {
      cel: "!has(self.workers) || self.workers == 1 || has(self.checkpoint.objectStore) || (has(self.checkpoint.volume) && (has(self.checkpoint.volume.claimName) || (has(self.checkpoint.volume.claimTemplate) && 'ReadWriteMany' in self.checkpoint.volume.claimTemplate.accessModes)))",
      message:
        "workers above 1 need storage that all of them reach: write accessModes [ReadWriteMany] in checkpoint.volume.claimTemplate, or add checkpoint.objectStore",
      holds: ({ workers, checkpoint: { objectStore, volume } }) =>
        workers === 1 ||
        objectStore !== undefined ||
        volume?.claimName !== undefined ||
        (volume?.claimTemplate?.accessModes.includes("ReadWriteMany") ?? false),
    },
    {
      cel: "has(self.managedBy) == has(oldSelf.managedBy) && (!has(self.managedBy) || self.managedBy == oldSelf.managedBy)",
      message: "managedBy cannot change once the run exists: create a new run under the other controller",
    },
  ],
  "What to train, where to save, and what to do when something ends it.",
);
export type TrainingRunSpec = z.infer<typeof TrainingRunSpec>;
