/**
 * Bundles the operator: `node operator/build.ts [outdir]`, by default into `.build/images/operator`. The result is one
 * file, `operator.mjs`, that needs Node and nothing else.
 */
import { rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { build } from "esbuild";

/** Writes the bundle into `outdir`, which is emptied first; returns the file's path. */
export async function buildOperator(outdir: string): Promise<string> {
  const outfile = join(outdir, "operator.mjs");
  await rm(outdir, { recursive: true, force: true });
  await build({
    entryPoints: [join(import.meta.dirname, "src/main.ts")],
    outfile,
    bundle: true,
    platform: "node",
    target: "node24",
    format: "esm",
    // Names and lines are kept: Node prints the line that threw, and people read the stack.
    minifySyntax: true,
    legalComments: "none",
    // Bundled CommonJS packages call `require` for Node's own modules, which an ES module does not have.
    banner: {
      js: 'import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url);',
    },
    logLevel: "warning",
  });
  return outfile;
}

if (import.meta.main) {
  const outfile = await buildOperator(
    resolve(process.argv[2] ?? join(import.meta.dirname, "../.build/images/operator")),
  );
  const { size } = await stat(outfile);
  console.log(`Wrote the operator to ${outfile} (${(size / 1e6).toFixed(1)} MB)`);
}
