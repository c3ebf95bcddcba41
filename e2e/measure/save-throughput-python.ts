import { createHash } from "node:crypto";
import { join } from "node:path";
import { cached } from "../cluster/build/cache.ts";
import { run } from "../cluster/processes/command.ts";

const plain = ["numpy==2.3.5", "safetensors==0.8.0"] as const;
/** PyPI's torch for Linux on x64 brings CUDA along, of which nothing is used here: 2.5 GB to download, once. */
const torch = [...plain, "torch==2.15.0"] as const;

const timeoutMs = 30 * 60_000;

/** A Python that has some packages, or why there is none. */
export type Python = Readonly<{ program: string } | { missing: string }>;

/** Pythons of this user's cache, made at the first use: with numpy and safetensors, and with torch as well. */
export async function pythons(signal: AbortSignal): Promise<Readonly<{ plain: Python; torch: Python }>> {
  return { plain: await python(plain, signal), torch: await python(torch, signal) };
}

async function python(packages: readonly string[], signal: AbortSignal): Promise<Python> {
  const wanted = packages.join(", ");
  const name = `python-${createHash("sha256").update(wanted).digest("hex").slice(0, 12)}`;
  const report = (line: string) => console.log(`  ${line}`);
  try {
    const entry = { name, what: `installing ${wanted}`, report, signal, timeoutMs };
    const directory = await cached(entry, async (target) => {
      await run("python3", ["-m", "venv", target], { signal });
      const install = ["-m", "pip", "install", "--quiet", "--no-input", "--no-cache-dir", ...packages];
      await run(join(target, "bin", "python"), install, { signal, timeoutMs });
    });
    return { program: join(directory, "bin", "python") };
  } catch (error) {
    signal.throwIfAborted();
    const why = error instanceof Error ? error.message : String(error);
    return { missing: `no Python with ${wanted}: ${why}`.slice(0, 300) };
  }
}
