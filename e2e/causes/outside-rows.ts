import { expectedCause } from "../harness/expected-cause.ts";
import { withPod, withTrainer } from "./manifests.ts";
import {
  deleteNode,
  deletePod,
  drain,
  interruption,
  pressNode,
  taintNoExecute,
  takeOutOfService,
  terminateTrainer,
} from "./outside-deeds.ts";
import { type ClusterRow, ended, onCluster } from "./row.ts";

/** What people and the cluster do to a pod. Of a node, in this order: the last one leaves none. */
export const outsideRows: readonly ClusterRow[] = [
  onCluster("the Eviction API", ended(expectedCause.eviction, "Disruption", ["EvictionByEvictionAPI"]), {
    stage: "Training",
    deed: interruption("eviction"),
  }),
  onCluster(
    "a pod of higher priority that wants the GPU",
    ended(expectedCause.preemption, "Disruption", ["PreemptionByScheduler"]),
    {
      run: (manifest) =>
        withTrainer(manifest, {
          resources: { requests: { cpu: "10m", memory: "64Mi" }, limits: { memory: "1Gi", "nvidia.com/gpu": 1 } },
        }),
      stage: "Training",
      deed: interruption("preemption"),
    },
  ),
  onCluster("kubectl drain", ended("Drained", "Disruption", ["EvictionByEvictionAPI"]), {
    lane: "Node",
    stage: "Training",
    deed: drain,
  }),
  onCluster("a NoExecute taint", ended("NodeLost", "Disruption", ["DeletionByTaintManager"]), {
    lane: "Node",
    stage: "Training",
    deed: taintNoExecute,
  }),
  onCluster(
    "a silent node, tainted out-of-service by hand",
    ended("NodeLost", "Disruption", ["NodeOutOfService", "DeletionByTaintManager"]),
    { lane: "Node", stage: "Training", deed: takeOutOfService },
  ),
  onCluster(
    "a kubelet that finds memory short",
    ended("NodePressure", "Disruption", ["TerminationByKubelet", "Evicted"]),
    { lane: "Node", stage: "Training", deed: pressNode },
  ),
  onCluster("kubectl delete node", ended("NodeLost", "Disruption", ["NodeGone", "DeletionByPodGC"]), {
    lane: "Node",
    stage: "Training",
    deed: deleteNode,
  }),
  onCluster("kubectl delete pod", ended("Deleted", "Disruption", ["PodDeleted"]), {
    stage: "Training",
    deed: deletePod(),
  }),
  onCluster("kubectl delete pod --force", ended("Deleted", "Disruption", ["PodDeleted", "GoneWithoutTrace"]), {
    stage: "Training",
    deed: deletePod("--force", "--grace-period=0"),
  }),
  onCluster("a SIGTERM that nobody at the API server knows of", ended("Signalled", "Disruption", ["SignalReceived"]), {
    stage: "Training",
    deed: terminateTrainer,
  }),
  onCluster("the pod's own deadline", ended("PodDeadlineExceeded", "Disruption", ["DeadlineExceeded"]), {
    run: (manifest) => withPod(manifest, { activeDeadlineSeconds: 10 }),
  }),
  onCluster("a kubelet that has no room for the pod", ended("Rejected", "Disruption", ["OutOfcpu"]), {
    run: (manifest, node) =>
      withPod(withTrainer(manifest, { resources: { requests: { cpu: "1000" } } }), { nodeName: node }),
  }),
];
