import { labels } from "@trainingrun/operator/api/names.ts";
import type { RunScenario } from "../plan/scenario.ts";
import type { Fields } from "./api/object.ts";

/** Where the buckets of a play are, and what the Secret with their keys is named. */
export const bucketPlace = { ip: "10.8.0.1", port: 9000, name: "checkpoints", secret: "store-keys" } as const;

/** An image that no registry has. */
export const missingImage = "model/no-such-trainer";

/** The container that trains. */
export function trainerContainer(image = "model/trainer"): Fields {
  return { name: "trainer", image };
}

/** The queue that runs are put into. */
export const queueName = "gpus";

/** What the user of a run calls it, and where it is to wait. */
export function metadataOf({ name, isQueued }: RunScenario): Fields {
  return { name, ...(isQueued ? { labels: { [labels.queue]: queueName } } : {}) };
}

/** What the user of a run asks for. */
export function specOf(run: RunScenario): Fields {
  const { workers, volume, hasBucket, intervalSteps, graceSeconds, failures, nodeLost } = run;
  const { deletionPolicy, keptLast, noneVerified, stallSeconds, ttlSeconds } = run;
  const { ip, port, name, secret } = bucketPlace;
  const objectStore = { endpoint: `http://${ip}:${port}`, bucket: name, credentialsSecretName: secret };
  const claimTemplate = { accessModes: [volume], resources: { requests: { storage: "1Gi" } } };
  return {
    template: {
      spec: {
        terminationGracePeriodSeconds: graceSeconds,
        containers: [trainerContainer()],
      },
    },
    workers,
    checkpoint: {
      ...(volume === "None" ? {} : { volume: { claimTemplate } }),
      ...(hasBucket ? { objectStore } : {}),
      interval: { steps: intervalSteps },
      retention: { last: keptLast },
    },
    retry: { failures, backoff: { initialSeconds: 1, maxSeconds: 30 } },
    ...(stallSeconds === undefined ? {} : { stall: { timeoutSeconds: stallSeconds } }),
    ...(ttlSeconds === undefined ? {} : { ttlSecondsAfterFinished: ttlSeconds }),
    nodeLost,
    deletionPolicy,
    resume: { noneVerified },
  };
}
