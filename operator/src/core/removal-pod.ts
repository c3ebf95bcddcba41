import type { ObjectStoreSpec } from "../api/checkpoint-spec.ts";
import { apiVersion, kind, labels } from "../api/names.ts";
import { type PodTemplate, trainerOf } from "../api/template.ts";
import type { TrainingRun } from "../api/training-run.ts";
import type { Manifest } from "./decision.ts";
import { type Json, objectOf } from "./json.ts";
import { removalPodName, runLabels } from "./names.ts";
import { agentSecurity } from "./pod.ts";
import { objectStoreVariables, paths, plain } from "./pod-environment.ts";
import type { PodSettings } from "./pod-settings.ts";
import { credentialsMounts, credentialsVolume } from "./storage-volumes.ts";

/** Name of the one container of the pod. */
export const removalContainerName = "delete";
/** So long the pod may take, and a deleted run waits for it. */
export const removalSeconds = 600;

/** What lets a pod of the template start and reach the object store; the rest is for training alone. */
const kept = [
  "serviceAccountName",
  "imagePullSecrets",
  "securityContext",
  "nodeSelector",
  "affinity",
  "tolerations",
  "schedulerName",
  "priorityClassName",
  "dnsPolicy",
  "dnsConfig",
  "hostAliases",
  "hostNetwork",
] as const;

/**
 * The pod that removes the objects of a deleted run. Only a pod can: the keys of the store are mounted by the kubelet
 * and never read by the operator. It belongs to the run, so that nothing of it stays, and does not block its deletion.
 */
export function removalPod(run: TrainingRun, objectStore: ObjectStoreSpec, settings: PodSettings): Manifest {
  const { template } = run.spec;
  const { name, namespace, uid } = run.metadata;
  const { annotations } = template.metadata ?? {};
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: removalPodName(run),
      namespace,
      // Network policies select pods by their labels.
      labels: { ...theirLabels(template), ...runLabels(run) },
      ...(annotations === undefined ? {} : { annotations }),
      ownerReferences: [
        { apiVersion, kind, name: run.metadata.name, uid, controller: true, blockOwnerDeletion: false },
      ],
    },
    spec: {
      ...Object.fromEntries(kept.flatMap((field) => (field in template.spec ? [[field, template.spec[field]]] : []))),
      automountServiceAccountToken: false,
      restartPolicy: "OnFailure",
      activeDeadlineSeconds: removalSeconds,
      containers: [
        {
          name: removalContainerName,
          image: settings.agentImage,
          imagePullPolicy: settings.agentImagePullPolicy,
          args: ["delete"],
          resources: settings.agentResources,
          env: [
            ...plain({
              TRAININGRUN_NAME: name,
              TRAININGRUN_NAMESPACE: namespace,
              TRAININGRUN_UID: uid,
              TRAININGRUN_TERMINATION_LOG: paths.terminationLog,
            }),
            ...objectStoreVariables(run),
          ],
          volumeMounts: credentialsMounts(objectStore),
          securityContext: agentSecurity(run, trainerOf(template)),
          terminationMessagePath: paths.terminationLog,
          terminationMessagePolicy: "File",
        },
      ],
      volumes: [credentialsVolume(objectStore, objectOf(template.spec.securityContext))],
    },
  };
}

/** Without those that would make it a training pod, or have it wait in a queue for its turn. */
function theirLabels({ metadata }: PodTemplate): Json {
  const ours: readonly string[] = [labels.attempt, labels.worker, labels.queue, labels.queueGroup];
  return Object.fromEntries(Object.entries(metadata?.labels ?? {}).filter(([name]) => !ours.includes(name)));
}
