import { createHash } from "node:crypto";
import { copyFile, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { z } from "zod";
import { cached } from "../build/cache.ts";
import { run, succeeds } from "../processes/command.ts";
import type { BuildOptions } from "./images.ts";

const suite = "bookworm";
const packages = ["base-files", "busybox-static", "libc6", "libgcc-s1", "libstdc++6", "tini"];
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
export async function ensureBaseContext(options: BuildOptions): Promise<string> {
  const node = await nodePackage();
  const recipe = [suite, process.arch, node.version, ...packages, ...paths].join("\0");
  const name = `base-${createHash("sha256").update(recipe).digest("hex").slice(0, 12)}`;
  const what = "Assembling the base image's Debian packages: usually 10 to 30 seconds";
  return cached({ name, what, timeoutMs, ...options }, async (unfinished) => {
    await assemble(unfinished);
    await copyBinary(node.binary, join(unfinished, "node"));
  });
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

const packageSchema = z.object({ version: z.string() });

async function nodePackage(): Promise<{ version: string; binary: string }> {
  const resolve = createRequire(import.meta.url).resolve;
  try {
    const manifest = resolve(`node-linux-${process.arch}/package.json`);
    const { version } = packageSchema.parse(JSON.parse(await readFile(manifest, "utf8")));
    return { version, binary: join(dirname(manifest), "bin", "node") };
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
