import { labels } from "../api/names.ts";
import type { TrainingRun } from "../api/training-run.ts";
import type { Manifest } from "./decision.ts";
import { controllerReference, runLabels, serviceName } from "./names.ts";

/**
 * The headless Service of a gang: by it each worker has a name that the others find, `<pod>.<run>`, before it is ready and
 * however often its address changes. One for all attempts, whose pods' names differ; it goes with the run.
 */
export function gangService(run: TrainingRun): Manifest {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: {
      name: serviceName(run),
      namespace: run.metadata.namespace,
      labels: runLabels(run),
      ownerReferences: [controllerReference(run)],
    },
    spec: {
      clusterIP: "None",
      // Workers look for each other to become ready.
      publishNotReadyAddresses: true,
      selector: { [labels.runUid]: run.metadata.uid },
    },
  };
}
