/**
 * Bundles the agent: `node agent/build.ts [outdir]`, by default into `.build/images/agent`. The result needs Node and
 * nothing else: `agent.cjs`, and beside it the native BLAKE3 package, which cannot be bundled. Where that package has
 * no build for the machine, the program hashes with SHA-256.
 *
 * The bundle is on the way of every recovery, so it is made to start fast (CPU time of a start that does nothing, Node's
 * own 0.05 s included: 0.30 s as one ES module with all of zod, 0.13 s as it is):
 * - CommonJS, because it loads Node's modules when they are first used, and as they are: as an ES module's import,
 *   `node:http` has every one of its getters read, which loads a whole HTTP client.
 * - zod imported as a namespace, so that the bundler leaves out what is not used of it: `{ z }` holds all of it.
 */
import { cp, mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { build, type Plugin } from "esbuild";

const native = "@napi-rs/blake-hash";

const zodAsNamespace: Plugin = {
  name: "zod-as-namespace",
  setup(bundler) {
    bundler.onLoad({ filter: /\/(agent|checkpoint)\/src\/.*\.ts$/ }, async ({ path }) => {
      const text = await readFile(path, "utf8");
      return { loader: "ts", contents: text.replace('import { z } from "zod";', 'import * as z from "zod";') };
    });
  },
};

/** Puts bundle and native packages in the place of `outdir`, whole: a build beside another leaves one of the two. */
export async function buildAgent(outdir: string): Promise<void> {
  const building = `${outdir}.${process.pid}.building`;
  try {
    await bundle(building);
    await copyNativePackages(join(building, "node_modules/@napi-rs"));
    await rm(outdir, { recursive: true, force: true });
    await rename(building, outdir);
  } finally {
    await rm(building, { recursive: true, force: true });
  }
}

async function bundle(outdir: string): Promise<void> {
  await build({
    entryPoints: [join(import.meta.dirname, "src/main.ts")],
    outfile: join(outdir, "agent.cjs"),
    bundle: true,
    platform: "node",
    target: "node24",
    format: "cjs",
    minify: true,
    // Errors are told by their class: its name must survive.
    keepNames: true,
    legalComments: "none",
    external: [native],
    plugins: [zodAsNamespace],
    define: { "import.meta.url": "bundleUrl" },
    banner: { js: 'const bundleUrl = require("node:url").pathToFileURL(__filename).href;' },
    logLevel: "warning",
  });
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
