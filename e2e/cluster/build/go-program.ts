import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, readFile } from "node:fs/promises";
import { availableParallelism, totalmem } from "node:os";
import { basename, join } from "node:path";
import { run } from "../processes/command.ts";
import type { LockOptions } from "../processes/lock.ts";
import { cacheDirectory, cached } from "./cache.ts";

/** A program that is built with Go from a module that is pinned here. */
export interface GoProgram {
  readonly name: string;
  /** Where the go.mod is that pins it. */
  readonly directory: string;
  readonly package: string;
  readonly ldflags: string;
  readonly usualMinutes: string;
  /** Files of a module's own that are kept beside the program, such as its resource definitions. */
  readonly manifests?: { readonly module: string; readonly paths: readonly string[] };
}

type Asked = Pick<LockOptions, "report" | "signal">;

const timeoutMs = 40 * 60_000;

/** The path of the program, which is built where the cache has none. What is kept beside it lies in the same directory. */
export async function ensureGoProgram(program: GoProgram, { report, signal }: Asked): Promise<string> {
  const name = await entryName(program);
  const what = `Building ${program.name} with Go: usually ${program.usualMinutes} minutes on 2 cores`;
  const directory = await cached({ name, what, timeoutMs, report, signal }, async (unfinished) => {
    const flags = ["-ldflags", program.ldflags, "-o", join(unfinished, program.name)];
    await go(["build", ...flags, program.package], program, signal);
    await keepManifests(program, unfinished, signal);
  });
  return join(directory, program.name);
}

/** Downloads what the program is built from, where the cache lacks it. What cannot be had is left to the build to say. */
export async function fetchGoSources(program: GoProgram, signal: AbortSignal): Promise<void> {
  if (existsSync(join(cacheDirectory(), await entryName(program)))) return;
  await go(["list", "-deps", program.package], program, signal).catch(() => {});
}

async function keepManifests(program: GoProgram, into: string, signal: AbortSignal | undefined): Promise<void> {
  const { manifests } = program;
  if (manifests === undefined) return;
  const source = (await go(["list", "-m", "-f", "{{.Dir}}", manifests.module], program, signal)).trim();
  for (const path of manifests.paths) await copyFile(join(source, path), join(into, basename(path)));
}

function go(args: readonly string[], { directory }: GoProgram, signal: AbortSignal | undefined): Promise<string> {
  return run("go", args, { cwd: directory, env: goEnvironment, timeoutMs, signal });
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
  const { ldflags, manifests } = program;
  hash.update([process.platform, process.arch, program.package, ldflags, ...(manifests?.paths ?? [])].join("\0"));
  return hash.digest("hex").slice(0, 12);
}
