import { join } from "node:path";
import { ensureGoProgram, fetchGoSources, type GoProgram } from "./go-program.ts";

/** Told what is being made and how long that usually takes. */
export type Report = (line: string) => void;

const kubernetesVersion = "1.35.4";
const helmVersion = "3.22.0";

const kubernetes: GoProgram = {
  name: "kubernetes",
  directory: join(import.meta.dirname, "kubernetes"),
  package: ".",
  ldflags: versionFlags("k8s.io/component-base", {
    "version.gitVersion": `v${kubernetesVersion}`,
    "version.gitMajor": "1",
    "version.gitMinor": "35",
  }),
  usualMinutes: "6 to 9",
};

const helm: GoProgram = {
  name: "helm",
  directory: join(import.meta.dirname, "helm"),
  package: "helm.sh/helm/v3/cmd/helm",
  // Without the last four Helm judges charts as if for Kubernetes 1.20.
  ldflags: versionFlags("helm.sh/helm/v3", {
    "internal/version.version": `v${helmVersion}`,
    "pkg/lint/rules.k8sVersionMajor": "1",
    "pkg/lint/rules.k8sVersionMinor": "35",
    "pkg/chartutil.k8sVersionMajor": "1",
    "pkg/chartutil.k8sVersionMinor": "35",
  }),
  usualMinutes: "2 to 4",
};

const coredns: GoProgram = {
  name: "coredns",
  directory: join(import.meta.dirname, "coredns"),
  package: ".",
  ldflags: "-s -w",
  usualMinutes: "2 to 4",
};

const versitygw: GoProgram = {
  name: "versitygw",
  directory: join(import.meta.dirname, "versitygw"),
  package: "github.com/versity/versitygw/cmd/versitygw",
  ldflags: "-s -w",
  usualMinutes: "1 to 3",
};

const minio: GoProgram = {
  name: "minio",
  directory: join(import.meta.dirname, "minio"),
  package: "github.com/minio/minio",
  ldflags: "-s -w",
  usualMinutes: "3 to 6",
};

const programs = { kubernetes, coredns, helm, versitygw, minio };
export type ProgramName = keyof typeof programs;

/** The program that is every part of Kubernetes (its first argument says which); built where the cache has none. */
export function ensureKubernetes(report: Report = console.error, signal?: AbortSignal): Promise<string> {
  return ensureGoProgram(kubernetes, { report, signal });
}

/** The Helm that the chart is installed with; built where the cache has none. */
export function ensureHelm(report: Report = console.error, signal?: AbortSignal): Promise<string> {
  return ensureGoProgram(helm, { report, signal });
}

/** The DNS server of container nodes; built where the cache has none. */
export function ensureCoredns(report: Report = console.error, signal?: AbortSignal): Promise<string> {
  return ensureGoProgram(coredns, { report, signal });
}

/** The S3 server that keeps each object as a file; built where the cache has none. */
export function ensureVersitygw(report: Report = console.error, signal?: AbortSignal): Promise<string> {
  return ensureGoProgram(versitygw, { report, signal });
}

/** The S3 server with quotas; built where the cache has none. */
export function ensureMinio(report: Report = console.error, signal?: AbortSignal): Promise<string> {
  return ensureGoProgram(minio, { report, signal });
}

/**
 * Downloads the sources of those programs that the cache lacks, one after the other: beside a build, which wants the
 * processors and not the network. What cannot be downloaded is left to the build to say.
 */
export async function fetchSources(names: readonly ProgramName[], signal: AbortSignal): Promise<void> {
  for (const name of names) await fetchGoSources(programs[name], signal);
}

/** Go variables of a module that are set when it is linked. */
function versionFlags(modulePath: string, variables: Readonly<Record<string, string>>): string {
  const settings = Object.entries(variables).map(([name, value]) => `-X ${modulePath}/${name}=${value}`);
  return ["-s", "-w", ...settings].join(" ");
}
