import { minGraceSeconds } from "@trainingrun/operator/api/template.ts";
import type { RunScenario } from "../plan/scenario.ts";
import type { Fields } from "./api/object.ts";

/** Where the buckets of a play are, and what the Secret with their keys is named. */
export const bucketPlace = { ip: "10.8.0.1", port: 9000, name: "checkpoints", secret: "store-keys" } as const;

/** What the user of a run writes. */
export function specOf(run: RunScenario): Fields {
  const { workers, volume, hasBucket, intervalSteps, graceSeconds, failures, nodeLost } = run;
  const { deletionPolicy, keptLast, noneVerified } = run;
  const { ip, port, name, secret } = bucketPlace;
  const objectStore = { endpoint: `http://${ip}:${port}`, bucket: name, credentialsSecretName: secret };
  const claimTemplate = { accessModes: [volume], resources: { requests: { storage: "1Gi" } } };
  return {
    template: {
      spec: {
        terminationGracePeriodSeconds: Math.max(graceSeconds, minGraceSeconds),
        containers: [{ name: "trainer", image: "model/trainer" }],
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
    nodeLost,
    deletionPolicy,
    resume: { noneVerified },
  };
}
