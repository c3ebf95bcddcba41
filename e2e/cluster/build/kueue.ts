import { dirname, join } from "node:path";
import type { Report } from "./binaries.ts";
import { ensureGoProgram, type GoProgram } from "./go-program.ts";

const version = "0.16.2";

/** The kinds that Kueue has of its own, by the files of their definitions. */
const kinds = [
  "admissionchecks",
  "clusterqueues",
  "cohorts",
  "localqueues",
  "multikueueclusters",
  "multikueueconfigs",
  "provisioningrequestconfigs",
  "resourceflavors",
  "topologies",
  "workloadpriorityclasses",
  "workloads",
].map((kind) => `kueue.x-k8s.io_${kind}.yaml`);

const kueue: GoProgram = {
  name: "kueue",
  directory: join(import.meta.dirname, "kueue"),
  package: "sigs.k8s.io/kueue/cmd/kueue",
  ldflags: `-s -w -X sigs.k8s.io/kueue/pkg/version.GitVersion=v${version}`,
  usualMinutes: "5 to 10",
  manifests: {
    module: "sigs.k8s.io/kueue",
    paths: [...kinds.map((file) => `config/components/crd/bases/${file}`), "config/components/webhook/manifests.yaml"],
  },
};

/** Kueue's controller, the definitions of its kinds, and its webhooks. */
export type Kueue = Readonly<{
  version: string;
  program: string;
  definitionPaths: readonly string[];
  webhooksPath: string;
}>;

/** Builds Kueue where the cache has none. */
export async function ensureKueue(report: Report = console.error, signal?: AbortSignal): Promise<Kueue> {
  const program = await ensureGoProgram(kueue, { report, signal });
  const beside = dirname(program);
  return {
    version,
    program,
    definitionPaths: kinds.map((file) => join(beside, file)),
    webhooksPath: join(beside, "manifests.yaml"),
  };
}
