import type { RunScenario } from "../simulation/plan/scenario.ts";

/** When a deed is done: as soon as the trainer of an attempt has done a step, or once the run has been in a state for a while. */
export type Cue = Readonly<{ attempt: number; step: number }> | Readonly<{ state: string; forMs: number }>;

/** What is done to a run or its node. */
export type Deed = "Preempt" | "Suspend" | "Resume" | "Edit" | "CutNodeOff" | "BringNodeBack" | "Delete";

/** A life of one run, the same each time: what happens is cued by what the run does, not by a clock. */
export type Script = Readonly<{
  name: string;
  says: string;
  run: RunScenario;
  /** In this order, each not before the one before. */
  deeds: readonly Readonly<{ cue: Cue; deed: Deed }>[];
  end: "Complete" | "Deleted";
}>;

const plainRun: RunScenario = {
  namespace: "team-a",
  name: "run-0",
  appearsAtMs: 0,
  workers: 1,
  volume: "ReadWriteOnce",
  hasBucket: false,
  targetStep: 25,
  stepMs: 1_000,
  intervalSteps: 5,
  saveMs: 200,
  graceSeconds: 30,
  program: { onStop: "Saves", crashesAt: [], poison: null },
  failures: 3,
  nodeLost: { policy: "Wait" },
  deletionPolicy: "Retain",
  keptLast: 2,
  noneVerified: "Fail",
};

/** Every script whose writes are cut. */
export const scripts: readonly Script[] = [
  {
    name: "plain",
    says: "a run trains to its end, and old checkpoints go meanwhile",
    run: plainRun,
    deeds: [],
    end: "Complete",
  },
  {
    name: "setbacks",
    says: "a run is preempted, then its program crashes, and it backs off before each new attempt",
    run: { ...plainRun, program: { onStop: "Saves", crashesAt: [16], poison: null } },
    deeds: [{ cue: { attempt: 1, step: 7 }, deed: "Preempt" }],
    end: "Complete",
  },
  {
    name: "edits",
    says: "a run is suspended, edited meanwhile, set going again, and edited while it trains",
    run: plainRun,
    deeds: [
      { cue: { attempt: 1, step: 7 }, deed: "Suspend" },
      { cue: { state: "Suspended", forMs: 2_000 }, deed: "Edit" },
      { cue: { state: "Suspended", forMs: 5_000 }, deed: "Resume" },
      { cue: { attempt: 2, step: 15 }, deed: "Edit" },
    ],
    end: "Complete",
  },
  {
    name: "lost-node",
    says: "nothing is heard of a run's node any more, so that the run shuts its attempt out and goes on elsewhere; then the node is back",
    run: {
      ...plainRun,
      volume: "ReadWriteMany",
      targetStep: 60,
      stepMs: 3_000,
      nodeLost: { policy: "Fence", afterSeconds: 30 },
    },
    deeds: [
      { cue: { attempt: 1, step: 7 }, deed: "CutNodeOff" },
      { cue: { attempt: 2, step: 1 }, deed: "BringNodeBack" },
    ],
    end: "Complete",
  },
  {
    name: "deleted",
    says: "a run is deleted in the middle, with its claim and everything that it has in the object store",
    run: { ...plainRun, hasBucket: true, deletionPolicy: "Delete" },
    deeds: [{ cue: { attempt: 1, step: 12 }, deed: "Delete" }],
    end: "Deleted",
  },
];
