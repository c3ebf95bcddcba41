import { plainRun } from "../simulation/plan/plain-run.ts";
import type { RunScenario } from "../simulation/plan/scenario.ts";
import type { Script } from "./script.ts";

/** Short, as what is written follows from saves and restores, and not from how long they are apart. */
const shortRun: RunScenario = { ...plainRun, targetStep: 15, intervalSteps: 4 };
const ofPods = { writers: "Pods", operators: 1, end: "Complete" } as const;
const preempted: Script["deeds"] = [{ cue: { attempt: 1, step: 6 }, deed: "Preempt" }];

/**
 * The scripts in which the writes of pods are cut: every name that trainer and agent give or take on the volume, their words
 * to each other and to the kubelet, and every request that changes something in the object store.
 */
export const podScripts: readonly Script[] = [
  {
    ...ofPods,
    name: "volume",
    says: "a run is preempted, resumes and trains to its end, and old checkpoints go meanwhile",
    run: shortRun,
    deeds: preempted,
  },
  {
    ...ofPods,
    name: "both-tiers",
    says: "a run that is mirrored to the object store is preempted, resumes and trains to its end",
    run: { ...shortRun, hasBucket: true },
    deeds: preempted,
  },
  {
    ...ofPods,
    name: "object-store",
    says: "a run that has nothing but the object store is preempted, fetches its checkpoint and trains to its end",
    run: { ...shortRun, volume: "None", hasBucket: true },
    deeds: preempted,
  },
  {
    ...ofPods,
    name: "shards",
    says: "two workers save shards, are stopped together because one is preempted, resume and train to the end",
    run: { ...shortRun, workers: 2, volume: "ReadWriteMany", targetStep: 10 },
    deeds: preempted,
  },
  {
    ...ofPods,
    name: "removal",
    says: "a run is deleted with everything that it has in the object store, by a pod of its own",
    run: { ...shortRun, hasBucket: true, deletionPolicy: "Delete" },
    deeds: [{ cue: { attempt: 1, step: 9 }, deed: "Delete" }],
    end: "Deleted",
  },
];
