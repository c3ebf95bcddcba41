import { join } from "node:path";
import type { Report } from "./binaries.ts";
import { ensureGoProgram, type GoProgram } from "./go-program.ts";

const jobset: GoProgram = {
  name: "jobset",
  directory: join(import.meta.dirname, "batch"),
  package: "sigs.k8s.io/jobset",
  ldflags: "-s -w",
  usualMinutes: "3 to 6",
  manifests: {
    module: "sigs.k8s.io/jobset",
    paths: ["config/components/crd/bases/jobset.x-k8s.io_jobsets.yaml", "config/components/webhook/manifests.yaml"],
  },
};

const kubeflowTrainer: GoProgram = {
  name: "kubeflow-trainer",
  directory: join(import.meta.dirname, "batch"),
  package: "github.com/kubeflow/trainer/v2/cmd/trainer-controller-manager",
  ldflags: "-s -w",
  usualMinutes: "3 to 6",
  manifests: {
    module: "github.com/kubeflow/trainer/v2",
    paths: [
      ...["clustertrainingruntimes", "trainingruntimes", "trainjobs"].map(
        (resource) => `manifests/base/crds/trainer.kubeflow.org_${resource}.yaml`,
      ),
      "manifests/base/webhook/manifests.yaml",
    ],
  },
};

/** JobSet's controller, with its resource definition and webhooks as files beside it; built where the cache has none. */
export function ensureJobSet(report: Report = console.error, signal?: AbortSignal): Promise<string> {
  return ensureGoProgram(jobset, { report, signal });
}

/** Kubeflow Trainer's controller, with its resource definitions and webhooks beside it; built where the cache has none. */
export function ensureKubeflowTrainer(report: Report = console.error, signal?: AbortSignal): Promise<string> {
  return ensureGoProgram(kubeflowTrainer, { report, signal });
}
