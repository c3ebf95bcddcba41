import { PodEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { z } from "zod";

/** What a trainer is told of its pod, and of its gang by the names that frameworks know; null where it trains alone. */
export const TrainerPlace = PodEnvironment.extend({
  MASTER_ADDR: z.string().min(1).optional(),
  MASTER_PORT: z.coerce.number().pipe(z.int()).optional(),
  RANK: z.coerce.number().pipe(z.int()).optional(),
  WORLD_SIZE: z.coerce.number().pipe(z.int()).optional(),
}).transform(({ MASTER_ADDR: address, MASTER_PORT: port, RANK: rank, WORLD_SIZE: size, ...place }) => {
  const isTold = address !== undefined && port !== undefined && rank !== undefined && size !== undefined;
  return { ...place, gang: isTold ? { address, port, rank, size } : null };
});
export type TrainerPlace = z.infer<typeof TrainerPlace>;
