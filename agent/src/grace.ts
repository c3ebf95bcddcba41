import type { TrainerRecord } from "@trainingrun/checkpoint/contract/termination.ts";

const marginSeconds = 1;
/** The kubelet gives a sidecar a little even when the trainer has used up all of the grace period. */
const leastSeconds = 3;

/**
 * How long the agent may go on after its SIGTERM, in milliseconds. The kubelet stops it after the trainer, within the
 * same grace period: what a trainer that was stopped says it used is gone. Where it said nothing, the period is taken
 * as whole; a kill that comes earlier then finds the termination log already written.
 */
export function graceLeftMs(graceSeconds: number, preempted: TrainerRecord | null): number {
  const used = preempted?.kind === "preempted" ? preempted.graceUsedSeconds : 0;
  return Math.max(leastSeconds, graceSeconds - used - marginSeconds) * 1000;
}
