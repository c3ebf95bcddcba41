import type { RunScenario } from "../simulation/plan/scenario.ts";

/**
 * When a deed is done: as soon as a trainer of an attempt, or of a later one, has done a step; or once the run has been in
 * a state for a while.
 */
export type Cue = Readonly<{ attempt: number; step: number }> | Readonly<{ state: string; forMs: number }>;

/** What is done to a run, its node, or the operator that leads. */
export type Deed =
  | "Preempt"
  | "Suspend"
  | "Resume"
  | "Edit"
  | "Unlabel"
  | "RefusePods"
  | "TakePods"
  | "CutNodeOff"
  | "BringNodeBack"
  | "Delete"
  | "StopLeader"
  | "KillLeader";

/** A life of one run, the same each time: what happens is cued by what the run does, not by a clock. */
export type Script = Readonly<{
  name: string;
  says: string;
  /** Whose writes are cut: those of operators to the API server, or those of the run's pods to what it is stored on. */
  writers: "Operators" | "Pods";
  operators: 1 | 2;
  run: RunScenario;
  /** In this order, each not before the one before. */
  deeds: readonly Readonly<{ cue: Cue; deed: Deed }>[];
  end: "Complete" | "Deleted";
}>;
