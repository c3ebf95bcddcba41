import { z } from "zod";
import { Metrics, Step } from "./digest.ts";
import { ResumeReport } from "./resume.ts";

/** `control/progress.json`: written by the trainer by temporary file and rename, read by the agent. */
export const Progress = z.object({
  version: z.literal(1),
  /** The last completed step. */
  step: Step,
  targetStep: Step,
  /**
   * Whether another step may follow, or only the final save and the end of the training. Absent from a trainer that does
   * not say: then nothing is expected of it after its last step.
   */
  phase: z.enum(["Training", "Finishing"]).optional(),
  epoch: z.number().min(0),
  samples: z.int().min(0),
  metrics: Metrics,
  stepsPerSecond: z.number().min(0),
  /** The first step this process completed after its restore; absent until there is one. */
  firstStep: z.object({ step: Step, time: z.iso.datetime() }).optional(),
  /** What saving cost so far in this process. */
  saves: z.object({
    committed: z.int().min(0),
    failed: z.int().min(0),
    /** Save requests that were dropped, because another save was in flight or saving was paused. */
    skipped: z.int().min(0),
    lastSeconds: z.number().min(0),
    lastBytes: z.int().min(0),
    /** Time the training loop stood still for saving, summed. */
    stallSeconds: z.number().min(0),
    /** What half of the newest saves stayed below, and 99 in 100 of them; absent before the first. */
    stallP50Seconds: z.number().min(0).optional(),
    stallP99Seconds: z.number().min(0).optional(),
    /**
     * The save that is going on, for how long it has been, as of `time`, and how much it is to write; absent while there is
     * none. Only time in which the trainer could look counts: no step that holds its thread, and no pod that is frozen.
     * `movedSeconds`: for how long it had been when the volume last took something of it; absent from older trainers.
     */
    inFlight: z
      .object({
        step: Step,
        seconds: z.number().min(0),
        bytes: z.int().min(0),
        movedSeconds: z.number().min(0).optional(),
      })
      .optional(),
    /** How fast the last save was hashed, written and made durable; absent before the first. */
    bytesPerSecond: z.number().min(0).optional(),
  }),
  /** How far two saves are apart at present, and what that follows from; absent where it is not known yet. */
  interval: z.object({ seconds: z.number().positive(), why: z.string().max(255) }).optional(),
  /** Which tensor backend really runs, such as `tensorflow-cpu`, `tensorflow-gpu`, `wasm`. */
  backend: z.string().max(63),
  /** How the checkpoint was taken up; absent where training began at step 0. */
  resume: ResumeReport.optional(),
  time: z.iso.datetime(),
});
export type Progress = z.infer<typeof Progress>;
