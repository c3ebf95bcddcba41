import { z } from "zod";

/** What an end costs the run: nothing, one of its disruptions, one of its failures, or the run itself. */
export const Charge = z.enum(["Nothing", "Disruption", "Failure", "Terminal"]);
export type Charge = z.infer<typeof Charge>;

/**
 * Why an attempt ended, and what that costs. `Terminal` ends the run; `ByRule` is charged as the rule says,
 * which the ledger entry's `charge` keeps.
 */
export const chargeOfCause = {
  Complete: "Nothing",
  Unverified: "Nothing",
  Suspended: "Nothing",
  DeadlineExceeded: "Nothing",
  Superseded: "Nothing",
  RunDeleted: "Nothing",
  Stalled: "Failure",
  Preempted: "Disruption",
  Drained: "Disruption",
  NodeLost: "Disruption",
  NodePressure: "Disruption",
  NodeShutdown: "Disruption",
  Deleted: "Disruption",
  Signalled: "Disruption",
  PodDeadlineExceeded: "Disruption",
  Rejected: "Disruption",
  NoVerifiedCheckpoint: "Terminal",
  StorageUnavailable: "Nothing",
  NodeSuspect: "Nothing",
  Fenced: "Nothing",
  Incompatible: "Terminal",
  ByRule: "Failure",
  OutOfMemory: "Failure",
  Incomplete: "Failure",
  Crashed: "Failure",
} as const satisfies Record<string, Charge>;

/** Why an attempt ended. docs/causes.md says what each means and what to do about it. */
export type Cause = keyof typeof chargeOfCause;

export const causes = Object.keys(chargeOfCause) as [Cause, ...Cause[]];

export const Cause = z.enum(causes);
