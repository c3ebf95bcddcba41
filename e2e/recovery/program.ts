import { basename, join } from "node:path";
import { build } from "esbuild";

/** What the container is started with, of {@link programFiles}. */
export const programName = "plain-container.mjs";

/** The program of the plain container and what it loads later, each file by its name, for a ConfigMap. */
export async function programFiles(): Promise<Readonly<Record<string, string>>> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, "plain-container.ts")],
    outdir: import.meta.dirname,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    splitting: true,
    write: false,
    platform: "node",
    target: "node24",
    format: "esm",
    minify: true,
    // Errors are told by their class: its name must survive.
    keepNames: true,
    legalComments: "none",
    // Native: found through the container's NODE_PATH.
    external: ["@napi-rs/blake-hash"],
    logLevel: "warning",
  });
  return Object.fromEntries(outputFiles.map(({ path, text }) => [basename(path), text]));
}
