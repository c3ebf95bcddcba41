import { z } from "zod";

/** The condition types of a TrainingRun. */
export const conditionTypes = [
  "Complete",
  "Failed",
  "Suspended",
  "Progressing",
  "CheckpointsHealthy",
  "GracePeriodSufficient",
  "ResumePointReady",
] as const;
export type ConditionType = (typeof conditionTypes)[number];

/** `metav1.Condition`. */
export const Condition = z.object({
  type: z
    .string()
    .max(316)
    .regex(/^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/)
    .describe("What this speaks of."),
  status: z.enum(["True", "False", "Unknown"]),
  observedGeneration: z.int().min(0).optional().describe("The generation that this was decided on."),
  lastTransitionTime: z.iso.datetime().describe("When the status last changed."),
  reason: z
    .string()
    .min(1)
    .max(1024)
    .regex(/^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/)
    .describe("A stable CamelCase word for programs."),
  message: z.string().max(32768).describe("What happened and what to do about it."),
});
export type Condition = z.infer<typeof Condition>;
