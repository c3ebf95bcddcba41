import { withPod, withSpec } from "./manifests.ts";
import { deleteNamespace, deleteRun, edit, suspend } from "./operator-deeds.ts";
import { damageTwo, loseCheckpoints, openBeyond, spoilVolume } from "./restore-deeds.ts";
import { type ClusterRow, ended, onCluster } from "./row.ts";

/** What the user asks of the operator. */
export const askedRows: readonly ClusterRow[] = [
  onCluster("spec.suspend", ended("Suspended", "Nothing", ["Suspended"]), { stage: "Training", deed: suspend }),
  onCluster("spec.activeDeadlineSeconds", ended("DeadlineExceeded", "Nothing", ["DeadlineExceeded"]), {
    run: (manifest) => withSpec(manifest, { activeDeadlineSeconds: 10 }),
  }),
  onCluster("an edit of what has not begun to train", ended("Superseded", "Nothing", ["Superseded"]), {
    run: (manifest) => withPod(manifest, { nodeSelector: { "e2e.trainingrun.dev/nowhere": "true" } }),
    stage: "Begun",
    deed: edit,
  }),
  onCluster("kubectl delete trainingrun", ended("RunDeleted", "Nothing", ["RunDeleted"]), {
    stage: "Training",
    deed: deleteRun,
  }),
  // The cluster takes the pods of a namespace away before it comes to anything else.
  onCluster("kubectl delete namespace", ended("Deleted", "Disruption", ["PodDeleted"]), {
    stage: "Training",
    deed: deleteNamespace,
    ground: async () => undefined,
  }),
];

/** What a restore finds. */
export const restoreRows: readonly ClusterRow[] = [
  onCluster(
    "every checkpoint is gone from the volume",
    ended("NoVerifiedCheckpoint", "Terminal", ["NoVerifiedCheckpoint"]),
    { trains: true, stage: "Saved", deed: loseCheckpoints, attempt: 2 },
  ),
  onCluster("two checkpoints that do not match on a node", ended("NodeSuspect", "Nothing", ["NodeSuspect"]), {
    trains: true,
    stage: "Saved",
    deed: damageTwo,
    attempt: 2,
  }),
  onCluster("a volume that cannot be used", ended("StorageUnavailable", "Nothing", ["StorageUnavailable"]), {
    trains: true,
    stage: "Saved",
    deed: spoilVolume,
    attempt: 2,
  }),
  onCluster("another pod has opened the log under a higher number", ended("Fenced", "Nothing", ["Fenced"]), {
    trains: true,
    stage: "Saved",
    deed: openBeyond,
    attempt: 2,
  }),
];
