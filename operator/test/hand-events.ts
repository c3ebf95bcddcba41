import type { ModelPod } from "./model-pod.ts";

/** What a person's hand can do to a run's objects in the model, besides editing the run. */
export function handEvents(world: {
  recordedPods: () => readonly ModelPod[];
  dropFinalizer: () => void;
  dropService: () => void;
}) {
  return {
    /** Takes the labels of the pods that are on record, and writes another number there. */
    relabel: () => {
      for (const pod of world.recordedPods()) pod.labels = { "trainingrun.dev/attempt": "999" };
    },
    /** Takes away what they go with the run by. */
    stripOwner: () => {
      for (const pod of world.recordedPods()) pod.owned = false;
    },
    /** Takes away what holds the run until its last save. */
    stripRunFinalizer: () => world.dropFinalizer(),
    /** Deletes what a gang's workers find each other by. */
    dropService: () => world.dropService(),
  };
}
