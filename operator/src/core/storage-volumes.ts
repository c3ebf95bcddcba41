import { credentialsDirectory } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import type { ObjectStoreSpec } from "../api/checkpoint-spec.ts";
import { quantityBytes } from "../api/quantity.ts";
import { claimVolumeName, credentialsVolumeName, scratchVolumeName } from "../api/template.ts";
import type { TrainingRun } from "../api/training-run.ts";
import { type Json, objectOf } from "./json.ts";
import { claimNameOf } from "./names.ts";
import { paths } from "./pod-environment.ts";

/** The volumes of a training pod that checkpoints lie on, and the object store's keys where it has one. */
export function storageVolumes(run: TrainingRun): Json[] {
  const { objectStore } = run.spec.checkpoint;
  const securityContext = objectOf(run.spec.template.spec.securityContext);
  return [
    { name: scratchVolumeName, emptyDir: {} },
    { name: claimVolumeName, ...checkpointsSource(run) },
    ...(objectStore === undefined ? [] : [credentialsVolume(objectStore, securityContext)]),
  ];
}

/** Where trainer and agent find checkpoints: inside the scratch directory that they share. */
export function storageMounts(run: TrainingRun): Json[] {
  // Several runs may use one claim: each has a directory of its own on it. An emptyDir is one pod's.
  const place = claimNameOf(run) === null ? {} : { subPath: run.metadata.uid };
  return [
    { name: scratchVolumeName, mountPath: paths.scratch },
    { name: claimVolumeName, mountPath: paths.checkpoints, ...place },
  ];
}

/** Where the agent finds the keys. The trainer's container never gets this mount. */
export function credentialsMounts(objectStore: ObjectStoreSpec | undefined): Json[] {
  if (objectStore === undefined) return [];
  return [{ name: credentialsVolumeName, mountPath: credentialsDirectory, readOnly: true }];
}

/**
 * The keys of the Secret that the agent knows, and no others. Without a required one the kubelet does not start the pod
 * and says which; the optional ones may come later, and every change is followed without a restart.
 */
export function credentialsVolume({ credentialsSecretName: name }: ObjectStoreSpec, podSecurity: Json): Json {
  const items = (keys: readonly string[]) => keys.map((key) => ({ key, path: key }));
  return {
    name: credentialsVolumeName,
    projected: {
      // With an fsGroup the kubelet gives the files to that group; without one there is no group to name, and they
      // are in the agent's container alone.
      defaultMode: "fsGroup" in podSecurity ? 0o440 : 0o444,
      sources: [
        { secret: { name, items: items(["accessKeyId", "secretAccessKey"]) } },
        ...["sessionToken", "ca.crt"].map((key) => ({ secret: { name, items: items([key]), optional: true } })),
      ],
    },
  };
}

/**
 * The claim, or a directory that goes with the pod. Past its limit the kubelet evicts the pod, and with it what is not
 * mirrored yet: so the limit is a net well beyond the budget, which retention and paused saves keep.
 */
function checkpointsSource(run: TrainingRun): Json {
  const claimName = claimNameOf(run);
  if (claimName !== null) return { persistentVolumeClaim: { claimName } };
  const { maxBytes } = run.spec.checkpoint;
  return { emptyDir: maxBytes === undefined ? {} : { sizeLimit: String(2 * quantityBytes(maxBytes)) } };
}
