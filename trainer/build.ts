/**
 * Bundles the example training scripts for an image: `node trainer/build.ts [outdir] [--native | --native-gpu]`, by
 * default into `.build/images/trainer`. A bundled script starts faster, because it reads a few files instead of hundreds.
 *
 *   mnist.mjs, linear.mjs   start these: `node mnist.mjs`
 *   writer-thread.mjs       the thread that writes checkpoints
 *   dump-thread.mjs         the thread that says what a trainer is doing that stands still
 *   *.mjs                   chunks that they share, or load only when they need them
 *   *.wasm                  the WebAssembly backend
 *   mnist-digits.bin        the digits, packed
 *   node_modules/           native packages, which cannot be bundled: BLAKE3, and with --native TensorFlow (690 MB), whose
 *                           addon trainer/native/build.ts must have built before
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { z } from "zod";
import { copyPackageTree } from "./copy-package-tree.ts";

const root = resolve(import.meta.dirname, "..");

/** The native TensorFlow package to put beside the bundles, if any. */
type NativePackage = "@tensorflow/tfjs-node" | "@tensorflow/tfjs-node-gpu" | null;

/** Writes the bundles and what they need below `outdir`, which is emptied first. */
export async function buildTrainer(outdir: string, native: NativePackage): Promise<void> {
  if (native !== null) requireAddon(native);
  rmSync(outdir, { recursive: true, force: true });
  await bundle(outdir);
  const wasm = join(packageDirectory("@tensorflow/tfjs-backend-wasm", import.meta.filename), "dist");
  for (const name of ["tfjs-backend-wasm.wasm", "tfjs-backend-wasm-simd.wasm"]) {
    copyFileSync(join(wasm, name), join(outdir, name));
  }
  // Run by the bundled script's own rules, so that what it packs is what it reads.
  const { packDigits } = await import(join(root, "examples", "mnist", "digits.ts"));
  packDigits(join(outdir, "mnist-digits.bin"));
  copyBlake3(join(outdir, "node_modules", "@napi-rs"));
  if (native !== null) copyWithDependencies(native, { from: import.meta.filename, to: join(outdir, "node_modules") });
}

async function bundle(outdir: string): Promise<void> {
  await build({
    entryPoints: {
      mnist: join(root, "examples", "mnist", "train.ts"),
      linear: join(root, "examples", "linear", "train.ts"),
      "writer-thread": join(root, "trainer", "src", "saving", "writer-thread.ts"),
      "dump-thread": join(root, "trainer", "src", "diagnostics", "dump-thread.ts"),
    },
    outdir,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    splitting: true,
    // TensorFlow.js as ES modules: a CommonJS package in a chunk of its own would have nothing but a default export.
    mainFields: ["module", "main"],
    platform: "node",
    target: "node24",
    format: "esm",
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: "none",
    // Bundled CommonJS packages call `require` for Node's own modules, which an ES module does not have.
    banner: {
      js: [
        'import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url);',
        "const __filename = import.meta.filename, __dirname = import.meta.dirname;",
      ].join("\n"),
    },
    logLevel: "warning",
  });
}

/** BLAKE3 for this platform; where it has no build the program hashes with SHA-256. */
function copyBlake3(target: string): void {
  const main = createRequire(join(root, "checkpoint", "package.json")).resolve("@napi-rs/blake-hash");
  const scope = dirname(dirname(main));
  mkdirSync(target, { recursive: true });
  for (const name of readdirSync(scope).filter((entry) => entry.startsWith("blake-hash"))) {
    copyPackageTree(join(scope, name), join(target, name));
  }
}

const PackageManifest = z.object({ dependencies: z.record(z.string(), z.string()).default({}) });

/** Copies an installed package and all that it depends on, each once. */
function copyWithDependencies(name: string, { from, to }: { from: string; to: string }): void {
  const target = join(to, name);
  if (existsSync(target)) return;
  const source = packageDirectory(name, from);
  copyPackageTree(source, target);
  const { dependencies } = PackageManifest.parse(JSON.parse(readFileSync(join(source, "package.json"), "utf8")));
  for (const dependency of Object.keys(dependencies)) {
    if (existsSync(join(source, "node_modules", dependency))) continue;
    copyWithDependencies(dependency, { from: join(source, "package.json"), to });
  }
}

/** Without its addon the package would be taken for absent, and the image would train on WebAssembly without a word. */
function requireAddon(name: NonNullable<NativePackage>): void {
  if (existsSync(join(packageDirectory(name, import.meta.filename), "lib", "napi-v8", "tfjs_binding.node"))) return;
  const build = `node trainer/native/build.ts${name.endsWith("-gpu") ? " --gpu" : ""}`;
  throw new Error(`Cannot bundle the trainer with ${name} because its addon must be built first: ${build}.`);
}

function packageDirectory(name: string, from: string): string {
  const search = createRequire(from).resolve.paths(`${name}/package.json`) ?? [];
  const found = search.map((directory) => join(directory, name)).find((path) => existsSync(join(path, "package.json")));
  if (found === undefined) throw new Error(`Cannot bundle the trainer because ${name} must be installed: npm ci.`);
  return found;
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { native: { type: "boolean" }, "native-gpu": { type: "boolean" } },
  });
  const outdir = resolve(positionals[0] ?? join(root, ".build", "images", "trainer"));
  const cpu = values.native === true ? "@tensorflow/tfjs-node" : null;
  await buildTrainer(outdir, values["native-gpu"] === true ? "@tensorflow/tfjs-node-gpu" : cpu);
  console.log(`Wrote the trainer to ${outdir}`);
}
