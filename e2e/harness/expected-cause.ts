import type { Cause } from "@trainingrun/operator/api/cause.ts";
import type { InterruptionKind } from "./interruptions.ts";

/** The cause that the ledger has to give the attempt which an interruption ended. */
export const expectedCause: Readonly<Record<InterruptionKind, Cause>> = {
  eviction: "Drained",
  "eviction during a save": "Drained",
  preemption: "Preempted",
  SIGKILL: "Crashed",
  // The run is suspended for it, which is neither a disruption nor a failure.
  "damaged checkpoint": "Suspended",
  "lost volume": "Suspended",
};
