import { z } from "zod";

/**
 * `control/mirror-rate`: how fast the agent last brought a checkpoint into the object store, from its first byte there
 * to its `commit`. A trainer whose volume ends with its pod leaves as much of the grace period as the upload will take.
 */
export const MirrorRate = z.object({
  version: z.literal(1),
  bytesPerSecond: z.number().positive(),
});
export type MirrorRate = z.infer<typeof MirrorRate>;
