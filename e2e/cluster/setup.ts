import { existsSync } from "node:fs";
import { chmod, readFile, rm, writeFile } from "node:fs/promises";
import {
  ensureCoredns,
  ensureHelm,
  ensureKubernetes,
  ensureMinio,
  ensureVersitygw,
  fetchSources,
  type ProgramName,
} from "./build/binaries.ts";
import { type DebianPackage, lostParts, missingPackages, parts } from "./build/debian-packages.ts";
import { run, succeeds } from "./processes/command.ts";

/**
 * `make setup`: installs what is missing here of what the project needs, and says what it does. Where it may not install
 * (no root, not Debian) it says what is missing and what cannot be done without it, and goes on. What is downloaded
 * comes beside what is compiled: the one waits for the network, the other for the processors.
 */
async function setup({ objectStores }: { objectStores: boolean }): Promise<void> {
  const stop = new AbortController();
  const packages = ensurePackages();
  const fetched = fetchSources(objectStores ? [...programs, ...storePrograms] : programs, stop.signal);
  const work = [packages, build({ packages, objectStores }, stop.signal), fetched];
  try {
    await Promise.all(work);
  } catch (error) {
    stop.abort(error);
    // Debian's installer is not broken off: it would leave the machine half way.
    await Promise.allSettled(work);
    throw error;
  }
}

/** In the order in which they are built. */
const programs: readonly ProgramName[] = ["kubernetes", "coredns", "helm"];
/** The S3 servers that tests and measurements run against; the demo needs neither. */
const storePrograms: readonly ProgramName[] = ["versitygw", "minio"];

/** Says which parts of the project have what they need of Debian's packages, once those are here. */
async function ensurePackages(): Promise<{ hasContainers: boolean }> {
  const missing = missingPackages(existsSync);
  if (missing.length === 0) console.log("Debian packages: all are here");
  else if (await canInstall()) await install(missing);
  const lost = lostParts(missingPackages(existsSync));
  if (lost.length > 0) console.log(`These parts will be skipped or replaced here:\n${indent(lost)}`);
  return { hasContainers: lost.every((line) => !line.startsWith(parts.containers)) };
}

type Wanted = Readonly<{ packages: Promise<{ hasContainers: boolean }>; objectStores: boolean }>;

async function build({ packages, objectStores }: Wanted, signal: AbortSignal): Promise<void> {
  // A C compiler among them is one that Go finds.
  const { hasContainers } = await packages;
  console.log(`Kubernetes: ${await ensureKubernetes(console.log, signal)}`);
  if (hasContainers) console.log(`CoreDNS: ${await ensureCoredns(console.log, signal)}`);
  console.log(`Helm: ${await ensureHelm(console.log, signal)}`);
  if (!objectStores) return;
  console.log(`versitygw: ${await ensureVersitygw(console.log, signal)}`);
  console.log(`MinIO: ${await ensureMinio(console.log, signal)}`);
}

async function canInstall(): Promise<boolean> {
  const release = await readFile("/etc/os-release", "utf8").catch(() => "");
  const isDebian = /^ID(_LIKE)?=.*debian/m.test(release);
  if (!isDebian) console.log("Debian packages: none are installed, as this is not Debian");
  else if (process.getuid?.() !== 0) console.log("Debian packages: none are installed, as we are not root");
  return isDebian && process.getuid?.() === 0;
}

async function install(packages: readonly DebianPackage[]): Promise<void> {
  const names = packages.map(({ name }) => name);
  console.log(`Debian packages: installing ${names.join(", ")} (usually 20 seconds)`);
  await withoutStartingServices(async () => {
    const options = { env: { DEBIAN_FRONTEND: "noninteractive" }, timeoutMs: 15 * 60_000 };
    await run("apt-get", ["update"], options);
    // Nothing is removed for it: Docker's own containerd, say, is as good and is needed by someone.
    await run("apt-get", ["install", "--yes", "--no-install-recommends", "--no-remove", ...names], options);
  });
}

/**
 * Some of the packages start a service when they are installed, and at every boot from then on. We need the programs
 * only, and run them ourselves.
 */
async function withoutStartingServices(work: () => Promise<void>): Promise<void> {
  const policy = "/usr/sbin/policy-rc.d";
  const services = ["containerd", "prometheus"].filter((name) => !existsSync(`/lib/systemd/system/${name}.service`));
  const isOurs = !existsSync(policy);
  if (isOurs) {
    // Debian's way to say that no service may be started now.
    await writeFile(policy, "#!/bin/sh\nexit 101\n");
    await chmod(policy, 0o755);
  }
  try {
    await work();
  } finally {
    if (isOurs) await rm(policy, { force: true });
  }
  for (const service of services) {
    if (existsSync("/run/systemd/system")) await succeeds("systemctl", ["disable", "--now", service]);
  }
}

function indent(lines: readonly string[]): string {
  return lines.map((line) => `  ${line}`).join("\n");
}

await setup({ objectStores: process.argv.includes("--object-stores") });
