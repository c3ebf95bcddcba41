/** Every name the operator puts on an object or looks for on one. Other rooms import them from here. */

/** API group of the resource. */
export const group = "trainingrun.dev";
/** The one served and stored version. */
export const version = "v1alpha1";
/** `apiVersion` of every TrainingRun. */
export const apiVersion = `${group}/${version}`;
export const kind = "TrainingRun";
export const plural = "trainingruns";

/** Labels of everything that belongs to a run. The uid tells a run from an earlier one of the same name. */
export const labels = {
  run: "trainingrun.dev/run",
  runUid: "trainingrun.dev/run-uid",
  attempt: "trainingrun.dev/attempt",
  worker: "trainingrun.dev/worker",
  queue: "kueue.x-k8s.io/queue-name",
  queuePriority: "kueue.x-k8s.io/priority-class",
  queueGroup: "kueue.x-k8s.io/pod-group-name",
} as const;

/** Annotations by which Kueue takes the pods of a gang for one group. */
export const queueAnnotations = {
  groupSize: "kueue.x-k8s.io/pod-group-total-count",
  replaceable: "kueue.x-k8s.io/retriable-in-group",
} as const;

/** On pods: taken off only after the ledger entry of the pod's attempt stands in status, so each pod is counted once (I9). */
export const accountingFinalizer = "trainingrun.dev/accounting";
/** On runs: a deleted run stops with its final checkpoint before it goes. */
export const finalSaveFinalizer = "trainingrun.dev/final-save";

/** Annotation on a run: a new value asks the agent for a save at the next step. */
export const saveRequestAnnotation = "trainingrun.dev/save-requested-at";

/** The value of `spec.managedBy` that this operator answers to. */
export const managedBy = "trainingrun.dev/operator";

/** Longest run name: `<run>-<attempt>-<worker>` must still be a pod's host name of at most 63 characters. */
export const maxRunNameLength = 45;
