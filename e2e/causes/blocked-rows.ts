import { withLimits, withoutQuota, withPolicy } from "./grounds.ts";
import { withPod, withTrainer } from "./manifests.ts";
import { blocked, type ClusterRow, onCluster, type TestRow } from "./row.ts";

const elsewhere = "e2e/test/main-job.cluster.test.ts";

/** What keeps an attempt from beginning, without any end of it. */
export const blockedRows: readonly (ClusterRow | TestRow)[] = [
  onCluster("an image that cannot be pulled", blocked(["ErrImagePull", "ImagePullBackOff"], /localhost:1/), {
    run: (manifest) =>
      withTrainer(manifest, { image: "localhost:1/trainingrun/nowhere:dev", imagePullPolicy: "IfNotPresent" }),
  }),
  onCluster("a Secret for a variable that is not there", blocked(["CreateContainerConfigError"], /nowhere/), {
    run: (manifest) =>
      withTrainer(manifest, {
        env: [{ name: "KEY", valueFrom: { secretKeyRef: { name: "nowhere", key: "key" } } }],
      }),
  }),
  onCluster("a Secret for a volume that is not there", blocked(["Blocked"], /nowhere/), {
    run: (manifest) =>
      withPod(withTrainer(manifest, { volumeMounts: [{ name: "keys", mountPath: "/keys" }] }), {
        volumes: [{ name: "keys", secret: { secretName: "nowhere" } }],
      }),
  }),
  onCluster("no node that the pod may run on", blocked(["Unschedulable"], /didn't match|affinity|selector/), {
    run: (manifest) => withPod(manifest, { nodeSelector: { "e2e.trainingrun.dev/nowhere": "true" } }),
  }),
  onCluster("a scheduling gate of the template", blocked(["SchedulingGated"], /e2e\.trainingrun\.dev\/gate/), {
    run: (manifest) => withPod(manifest, { schedulingGates: [{ name: "e2e.trainingrun.dev/gate" }] }),
  }),
  onCluster("a quota that is used up", blocked(["QuotaExceeded"], /exceeded quota: none/), { ground: withoutQuota }),
  onCluster("a LimitRange", blocked(["CreationRefused"], /maximum memory usage per Container is 16Mi/), {
    ground: withLimits,
  }),
  onCluster("a ValidatingAdmissionPolicy", blocked(["CreationRefused"], /runs are not welcome here/), {
    ground: withPolicy,
  }),
  {
    where: "ClusterTest",
    way: "an image that may not be pulled",
    says: blocked(["ErrImageNeverPull"], /unknown/),
    file: elsewhere,
    title: "an image that nobody has",
    why: "The test of the main job has it.",
  },
  {
    where: "ClusterTest",
    way: "a claim that does not bind",
    says: blocked(["Unschedulable"], /nowhere/),
    file: elsewhere,
    title: "a claim that cannot bind",
    why: "The test of the main job has it.",
  },
  {
    where: "ClusterTest",
    way: "a GPU that no node has",
    says: blocked(["Unschedulable"], /Insufficient nvidia\.com\/gpu/),
    file: elsewhere,
    title: "a GPU that no node has",
    why: "The test of the main job has it.",
  },
];
