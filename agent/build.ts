/**
 * Bundles the agent: `node agent/build.ts [outdir]`, by default into `.build/images/agent`. The result needs Node and nothing
 * else: `agent.mjs`, and beside it the native BLAKE3 package, which cannot be bundled. Where that package has no build
 * for the machine, the program hashes with SHA-256.
 */
import { cp, mkdir, readdir, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { build } from "esbuild";

const native = "@napi-rs/blake-hash";

/** Writes the bundle and the native packages below `outdir`, which is emptied first. */
export async function buildAgent(outdir: string): Promise<void> {
  await rm(outdir, { recursive: true, force: true });
  await build({
    entryPoints: [join(import.meta.dirname, "src/main.ts")],
    outfile: join(outdir, "agent.mjs"),
    bundle: true,
    platform: "node",
    target: "node24",
    format: "esm",
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: "none",
    external: [native],
    // Bundled CommonJS packages call `require` for Node's own modules, which an ES module does not have.
    banner: {
      js: 'import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url);',
    },
    logLevel: "warning",
  });
  await copyNativePackages(join(outdir, "node_modules/@napi-rs"));
}

async function copyNativePackages(target: string): Promise<void> {
  const main = createRequire(join(import.meta.dirname, "../checkpoint/package.json")).resolve(native);
  const scope = dirname(dirname(main));
  await mkdir(target, { recursive: true });
  for (const name of await readdir(scope)) {
    if (!name.startsWith("blake-hash")) continue;
    await cp(join(scope, name), join(target, name), { recursive: true, dereference: true });
  }
}

if (import.meta.main) {
  const outdir = resolve(process.argv[2] ?? join(import.meta.dirname, "../.build/images/agent"));
  await buildAgent(outdir);
  console.log(`Wrote the agent to ${outdir}`);
}
