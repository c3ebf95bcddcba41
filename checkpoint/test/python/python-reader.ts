import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { ReaderReport } from "../reader-report.ts";

const run = promisify(execFile);
const reader = join(import.meta.dirname, "reader.py");
const packageVersion = "0.8.0";

/** How the reader in Python is run here: without Python it is null, and `missing` says what keeps it from what. */
export type Python = Readonly<{ packages: string | null; missing: string | null }>;

/** Looks for Python and fetches the package `safetensors`, once for each version of Python, into the project's cache. */
export async function findPython(): Promise<Python | null> {
  const version = await run("python3", ["-c", "import sys; print(sys.implementation.cache_tag)"]).catch(() => null);
  if (version === null) return null;
  const cache = join(cacheDirectory(), `python-safetensors-${packageVersion}-${version.stdout.trim()}`);
  if (existsSync(cache)) return { packages: cache, missing: null };
  try {
    await install(cache);
    return { packages: cache, missing: null };
  } catch (error) {
    return { packages: null, missing: `pip could not fetch the package safetensors: ${String(error).slice(0, 300)}` };
  }
}

/** A run's directory, and where its candidates are to be told from two tiers, a copy of what it has in a bucket. */
type Place = Readonly<{ root: string; runUid: string; bucket?: string }>;

/** What the reader prints of a run's directory. Rejects with its own words where it cannot read it. */
export async function pythonReport({ packages }: Python, { root, runUid, bucket }: Place): Promise<ReaderReport> {
  const env = { ...process.env, ...(packages === null ? {} : { PYTHONPATH: packages }) };
  const { stdout } = await run("python3", ["-B", reader, root, runUid, ...(bucket === undefined ? [] : [bucket])], {
    env,
    maxBuffer: 16 * 1024 * 1024,
  });
  const { safetensors, checkpoints, ...report } = JSON.parse(stdout);
  if (packages !== null && safetensors !== true)
    throw new Error("Cannot use the package safetensors although it is here");
  // Its own words for a refusal are nobody else's.
  return { ...report, checkpoints: checkpoints.map(({ message: _, ...shown }: { message?: string }) => shown) };
}

/** Into a directory of its own first, so that a killed or a second installation leaves nothing half made. */
async function install(cache: string): Promise<void> {
  await mkdir(cacheDirectory(), { recursive: true });
  const directory = await mkdtemp(`${cache}.`);
  try {
    const quiet = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"];
    const target = ["--target", directory, `safetensors==${packageVersion}`];
    await run("python3", ["-m", "pip", "install", ...quiet, ...target], { timeout: 120_000 });
    await rename(directory, cache);
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    if (!existsSync(cache)) throw error;
  }
}

function cacheDirectory(): string {
  const { TRAININGRUN_CACHE, XDG_CACHE_HOME } = process.env;
  return TRAININGRUN_CACHE ?? join(XDG_CACHE_HOME ?? join(homedir(), ".cache"), "trainingrun");
}
