import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { availableParallelism, totalmem } from "node:os";
import { join } from "node:path";
import { run } from "../processes/command.ts";
import { cacheDirectory, cached } from "./cache.ts";

/** Told what is being made and how long that usually takes. */
export type Report = (line: string) => void;

interface GoProgram {
  readonly name: string;
  /** Where its go.mod is, beside this file. */
  readonly directory: string;
  readonly package: string;
  readonly ldflags: string;
  readonly usualMinutes: string;
}

const kubernetesVersion = "1.35.4";
const helmVersion = "3.22.0";
const timeoutMs = 40 * 60_000;

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
  return ensureProgram(kubernetes, report, signal);
}

/** The Helm that the chart is installed with; built where the cache has none. */
export function ensureHelm(report: Report = console.error, signal?: AbortSignal): Promise<string> {
  return ensureProgram(helm, report, signal);
}

/** The DNS server of container nodes; built where the cache has none. */
export function ensureCoredns(report: Report = console.error, signal?: AbortSignal): Promise<string> {
  return ensureProgram(coredns, report, signal);
}

/** The S3 server that keeps each object as a file; built where the cache has none. */
export function ensureVersitygw(report: Report = console.error, signal?: AbortSignal): Promise<string> {
  return ensureProgram(versitygw, report, signal);
}

/** The S3 server with quotas; built where the cache has none. */
export function ensureMinio(report: Report = console.error, signal?: AbortSignal): Promise<string> {
  return ensureProgram(minio, report, signal);
}

/**
 * Downloads the sources of those programs that the cache lacks, one after the other: beside a build, which wants the
 * processors and not the network. What cannot be downloaded is left to the build to say.
 */
export async function fetchSources(names: readonly ProgramName[], signal: AbortSignal): Promise<void> {
  for (const name of names) {
    const program = programs[name];
    if (existsSync(join(cacheDirectory(), await entryName(program)))) continue;
    const options = { cwd: program.directory, env: goEnvironment, timeoutMs, signal };
    await run("go", ["list", "-deps", program.package], options).catch(() => {});
  }
}

async function ensureProgram(program: GoProgram, report: Report, signal: AbortSignal | undefined): Promise<string> {
  const name = await entryName(program);
  const what = `Building ${program.name} with Go: usually ${program.usualMinutes} minutes on 2 cores`;
  const directory = await cached({ name, what, timeoutMs, report, signal }, async (unfinished) => {
    const flags = ["-ldflags", program.ldflags, "-o", join(unfinished, program.name)];
    const options = { cwd: program.directory, env: goEnvironment, timeoutMs, signal };
    await run("go", ["build", ...flags, program.package], options);
  });
  return join(directory, program.name);
}

const goEnvironment = {
  // Whatever the user set for their own Go work must not change what is built here.
  GOFLAGS: "-mod=readonly -trimpath -buildvcs=false",
  GOWORK: "off",
  // A compiler that collects its garbage less often takes a fifth less time (CoreDNS: 2 min 4 s, not 2 min 38 s), as
  // long as there is memory: one compiler works per processor, and the linker beside them.
  GOGC: "400",
  GOMEMLIMIT: String(Math.floor(totalmem() / (availableParallelism() + 1))),
};

async function entryName(program: GoProgram): Promise<string> {
  return `${program.name}-${await contentHash(program)}`;
}

async function contentHash(program: GoProgram): Promise<string> {
  const hash = createHash("sha256");
  for (const file of ["go.mod", "go.sum", "main.go"]) {
    const path = join(program.directory, file);
    hash.update(existsSync(path) ? await readFile(path) : "").update("\0");
  }
  hash.update([process.platform, process.arch, program.package, program.ldflags].join("\0"));
  return hash.digest("hex").slice(0, 12);
}

function versionFlags(modulePath: string, variables: Readonly<Record<string, string>>): string {
  const settings = Object.entries(variables).map(([name, value]) => `-X ${modulePath}/${name}=${value}`);
  return ["-s", "-w", ...settings].join(" ");
}
