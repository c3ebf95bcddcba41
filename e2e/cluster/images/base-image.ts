import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { cacheDirectory, type Report } from "../build/binaries.ts";
import { run, succeeds } from "../processes/command.ts";
import { withLock } from "../processes/file-lock.ts";

const suite = "bookworm";
const packages = ["base-files", "busybox-static", "libc6", "libgcc-s1", "libstdc++6"];
// What the packages' licences ask for stays; what people read does not.
const paths = [
  "path-exclude=/usr/share/doc/*",
  "path-include=/usr/share/doc/*/copyright",
  "path-exclude=/usr/share/man/*",
  "path-exclude=/usr/share/locale/*",
];
const timeoutMs = 10 * 60_000;

/**
 * Makes the context that `images/base/Dockerfile` builds from: `base.tar`, a few Debian packages, and `node`, the binary
 * that this project has from npm. Packages come from wherever this machine's own apt is set up to get them.
 */
export async function ensureBaseContext(report: Report): Promise<string> {
  const node = nodeBinary();
  const recipe = [suite, process.arch, node, ...packages, ...paths].join("\0");
  const directory = join(cacheDirectory(), `base-${createHash("sha256").update(recipe).digest("hex").slice(0, 12)}`);
  if (existsSync(directory)) return directory;
  await withLock(`${directory}.lock`, { timeoutMs, report }, async () => {
    if (existsSync(directory)) return;
    report(`Assembling the base image's Debian packages: usually 10 to 30 seconds, then cached in ${directory}`);
    const unfinished = await mkdtemp(`${directory}.unfinished-`);
    try {
      await assemble(unfinished);
      await copyBinary(node, join(unfinished, "node"));
      await rename(unfinished, directory);
    } finally {
      await rm(unfinished, { recursive: true, force: true });
    }
  });
  return directory;
}

async function assemble(directory: string): Promise<void> {
  const sources = join(directory, "sources.list");
  const settings = join(directory, "apt.conf");
  await writeFile(sources, await aptSources());
  await writeFile(settings, await aptSettings());
  const options = ["--variant=extract", `--include=${packages.join(",")}`, `--aptopt=${settings}`];
  const dpkgOptions = paths.map((path) => `--dpkgopt=${path}`);
  const tar = join(directory, "base.tar");
  await run("mmdebstrap", [...options, ...dpkgOptions, suite, tar, sources], { timeoutMs });
  await Promise.all([rm(sources), rm(settings)]);
}

/** The Debian archives that this machine's apt knows. */
async function aptSources(): Promise<string> {
  const format = "$(ORIGIN) deb $(REPO_URI) $(RELEASE) $(COMPONENT)";
  const lines = await run("apt-get", ["indextargets", "--format", format, "Created-By: Packages"]);
  const debian = lines.split("\n").filter((line) => line.startsWith("Debian ") && line.includes(suite));
  if (debian.length === 0) {
    throw new Error(`Cannot make the base image: apt knows no Debian ${suite} archive; run \`apt-get update\` first`);
  }
  return `${[...new Set(debian)].map((line) => line.slice("Debian ".length)).join("\n")}\n`;
}

/** How this machine's apt reaches them: proxies, and what it lets pass. */
async function aptSettings(): Promise<string> {
  const lines = (await run("apt-config", ["dump", "Acquire"])).split("\n");
  return lines.filter((line) => !line.includes("IndexTargets") && !line.endsWith('"";')).join("\n");
}

function nodeBinary(): string {
  const resolve = createRequire(import.meta.url).resolve;
  try {
    return join(dirname(resolve(`node-linux-${process.arch}/package.json`)), "bin", "node");
  } catch (error) {
    throw new Error(`Cannot make the base image: npm's package node-linux-${process.arch} is not installed`, {
      cause: error,
    });
  }
}

async function copyBinary(from: string, to: string): Promise<void> {
  // Its symbols are an eighth of its size, and nothing in a container reads them.
  if (await succeeds("strip", ["-o", to, from])) return;
  await copyFile(from, to);
}
