import { z } from "zod";
import { Decimal, Step } from "./digest.ts";

/** What to do where the environment differs from the one that saved. */
export const EnvironmentMismatch = z.enum(["Ignore", "Warn", "Block"]);
export type EnvironmentMismatch = z.infer<typeof EnvironmentMismatch>;

/** `TRAININGRUN_RESUME_POLICY`: how the run wants a checkpoint to be taken up. */
export const ResumePolicy = z.object({
  environmentMismatch: EnvironmentMismatch.default("Warn"),
  /** Patterns of weights that may be missing from the checkpoint, new in it, or of another shape. */
  partial: z.array(z.string().min(1).max(253)).max(64).default([]),
  /** Steps after a checkpoint that are recorded, and compared when they are computed again. */
  replaySteps: z.int().min(0).max(100_000).default(0),
});
export type ResumePolicy = z.infer<typeof ResumePolicy>;

/** The longest name or value that a report carries; a longer one is shown with its middle left out. */
export const maxShownLength = 128;
const Shown = z.string().max(maxShownLength);

/** One fact in which the environment that saved and the one that resumes differ. A side without a value did not record it. */
export const EnvironmentDifference = z.object({
  member: Shown.describe("The fact, such as backend, image or device.model."),
  before: Shown.optional().describe("In the checkpoint; absent where it is not recorded there."),
  now: Shown.optional().describe("In the environment that resumed; absent where it is not known there."),
});
export type EnvironmentDifference = z.infer<typeof EnvironmentDifference>;

/** How many differences, and how many tensor names of a kind, a report names; it counts them all. */
export const reportLimits = { differences: 12, tensors: 6 } as const;

/** What comparing the environments came to. */
export const EnvironmentVerdict = z.object({
  policy: EnvironmentMismatch.describe("The resume.environmentMismatch that was followed."),
  total: z.int().min(0).describe("How many facts differ; not all may be listed."),
  differences: z.array(EnvironmentDifference).max(reportLimits.differences),
});
export type EnvironmentVerdict = z.infer<typeof EnvironmentVerdict>;

const TensorNames = z.array(Shown).max(reportLimits.tensors);

/** What `resume.partial` left out of a load. */
export const PartialLoad = z.object({
  loaded: z.int().min(0).describe("Weights taken from the checkpoint."),
  skipped: z.int().min(0).describe("Weights that were not; not all may be listed."),
  missing: TensorNames.describe("In the script alone: they start as the script makes them."),
  unexpected: TensorNames.describe("In the checkpoint alone: they are left out."),
  reshaped: TensorNames.describe("Of another shape or type: they start as the script makes them."),
  optimizerTensors: z
    .int()
    .min(0)
    .describe("Tensors of the optimizer that begin anew, or were left out, with their weight."),
});
export type PartialLoad = z.infer<typeof PartialLoad>;

/** What comparing recomputed steps with their records has come to so far. */
export const ReplayVerdict = z.object({
  asked: z.int().min(0).describe("resume.replaySteps of the attempt."),
  recorded: z.int().min(0).describe("How many of those steps were on record."),
  compared: z.int().min(0).describe("How many of these have been computed again."),
  result: z
    .enum(["NothingRecorded", "Pending", "BitExact", "WithinTolerance", "Differs"])
    .describe("BitExact: loss and weights of every compared step are the same to the last bit."),
  unreadable: Shown.optional().describe("Why a record of those steps could not be read; absent where all could."),
  firstDifference: Step.optional().describe("The first step whose loss or weights are other bits."),
  largestDifference: Decimal.optional().describe("Between two losses of a step, relative to the larger."),
  tolerance: Decimal.describe("The largest such difference that still counts as within tolerance."),
});
export type ReplayVerdict = z.infer<typeof ReplayVerdict>;

/** What there is to say of how an attempt took its checkpoint up; a part is absent where there is nothing to say. */
export const ResumeReport = z.object({
  environment: EnvironmentVerdict.optional(),
  partial: PartialLoad.optional(),
  replay: ReplayVerdict.optional(),
});
export type ResumeReport = z.infer<typeof ResumeReport>;
