import { plainRun } from "../simulation/plan/plain-run.ts";
import type { Script } from "./script.ts";

const ofOperators = { writers: "Operators", operators: 1, end: "Complete" } as const;

/** The scripts in which the writes of operators are cut. */
export const operatorScripts: readonly Script[] = [
  {
    ...ofOperators,
    name: "plain",
    says: "a run trains to its end, and old checkpoints go meanwhile",
    run: plainRun,
    deeds: [],
  },
  {
    ...ofOperators,
    name: "setbacks",
    says: "a run is preempted, then its program crashes, and it backs off before each new attempt",
    run: { ...plainRun, program: { onStop: "Saves", crashesAt: [16], poison: null } },
    deeds: [{ cue: { attempt: 1, step: 7 }, deed: "Preempt" }],
  },
  {
    ...ofOperators,
    name: "edits",
    says: "a run is suspended, edited meanwhile, set going again, and edited while it trains",
    run: plainRun,
    deeds: [
      { cue: { attempt: 1, step: 7 }, deed: "Suspend" },
      { cue: { state: "Suspended", forMs: 2_000 }, deed: "Edit" },
      { cue: { state: "Suspended", forMs: 5_000 }, deed: "Resume" },
      { cue: { attempt: 2, step: 15 }, deed: "Edit" },
    ],
  },
  {
    ...ofOperators,
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
  },
  {
    ...ofOperators,
    name: "deleted",
    says: "a run is deleted in the middle, with its claim and everything that it has in the object store",
    run: { ...plainRun, hasBucket: true, deletionPolicy: "Delete" },
    deeds: [{ cue: { attempt: 1, step: 12 }, deed: "Delete" }],
    end: "Deleted",
  },
  {
    ...ofOperators,
    name: "gang",
    says: "one of two workers is preempted, so that both stop and begin anew together",
    run: { ...plainRun, workers: 2, volume: "ReadWriteMany", targetStep: 15 },
    deeds: [{ cue: { attempt: 1, step: 7 }, deed: "Preempt" }],
  },
  {
    ...ofOperators,
    name: "altered",
    says: "somebody takes all labels off the pod of a run that trains, and they are put back",
    run: { ...plainRun, targetStep: 15 },
    deeds: [{ cue: { attempt: 1, step: 7 }, deed: "Unlabel" }],
  },
  {
    ...ofOperators,
    name: "refused",
    says: "a run is preempted while the server refuses every pod, and begins its next attempt once it takes them again",
    run: { ...plainRun, targetStep: 15 },
    deeds: [
      { cue: { attempt: 1, step: 7 }, deed: "RefusePods" },
      { cue: { attempt: 1, step: 7 }, deed: "Preempt" },
      { cue: { state: "Pending", forMs: 20_000 }, deed: "TakePods" },
    ],
  },
  {
    ...ofOperators,
    name: "expired",
    says: "a run is complete, and goes when it has been there for as long as its user wants it",
    run: { ...plainRun, targetStep: 10, ttlSeconds: 20 },
    deeds: [],
    end: "Deleted",
  },
  {
    ...ofOperators,
    name: "leader-change",
    says: "of two operators the one that leads is asked to end as a pod is preempted, and the next one dies as the program crashes",
    operators: 2,
    run: { ...plainRun, program: { onStop: "Saves", crashesAt: [16], poison: null } },
    deeds: [
      { cue: { attempt: 1, step: 7 }, deed: "Preempt" },
      { cue: { attempt: 1, step: 7 }, deed: "StopLeader" },
      { cue: { attempt: 2, step: 15 }, deed: "KillLeader" },
    ],
  },
];
