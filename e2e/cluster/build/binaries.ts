import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { run } from "../processes/command.ts";
import { withLock } from "../processes/file-lock.ts";

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
const buildTimeoutMs = 40 * 60_000;

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

/** The program that is every part of Kubernetes (its first argument says which); built where the cache has none. */
export function ensureKubernetes(report: Report = console.error): Promise<string> {
  return ensureProgram(kubernetes, report);
}

/** The Helm that the chart is installed with; built where the cache has none. */
export function ensureHelm(report: Report = console.error): Promise<string> {
  return ensureProgram(helm, report);
}

/** The DNS server of container nodes; built where the cache has none. */
export function ensureCoredns(report: Report = console.error): Promise<string> {
  return ensureProgram(coredns, report);
}

/** The user's cache of what takes long to make. It is shared by all clones of the project, so nothing in it changes. */
export function cacheDirectory(): string {
  const { TRAININGRUN_CACHE, XDG_CACHE_HOME } = process.env;
  return TRAININGRUN_CACHE ?? join(XDG_CACHE_HOME ?? join(homedir(), ".cache"), "trainingrun");
}

async function ensureProgram(program: GoProgram, report: Report): Promise<string> {
  const directory = join(cacheDirectory(), `${program.name}-${await contentHash(program)}`);
  const path = join(directory, program.name);
  if (existsSync(path)) return path;
  await mkdir(cacheDirectory(), { recursive: true });
  await withLock(`${directory}.lock`, { timeoutMs: buildTimeoutMs, report }, async () => {
    if (existsSync(path)) return;
    report(
      `Building ${program.name} with Go: usually ${program.usualMinutes} minutes on 2 cores, then cached in ${directory}`,
    );
    await build(program, directory);
  });
  return path;
}

async function build(program: GoProgram, directory: string): Promise<void> {
  // Built elsewhere and renamed: the directory appears with a whole program in it or not at all.
  const unfinished = await mkdtemp(`${directory}.unfinished-`);
  try {
    const flags = ["-ldflags", program.ldflags, "-o", join(unfinished, program.name)];
    await run("go", ["build", ...flags, program.package], {
      cwd: program.directory,
      env: goEnvironment,
      timeoutMs: buildTimeoutMs,
    });
    await rename(unfinished, directory);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

// Whatever the user set for their own Go work must not change what is built here.
const goEnvironment = { GOFLAGS: "-mod=readonly -trimpath -buildvcs=false", GOWORK: "off" };

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
