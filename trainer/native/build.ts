/**
 * Builds the native TensorFlow addon of `@tensorflow/tfjs-node` (or `-node-gpu` with `--gpu`) from package registries
 * alone. The package's own installer fetches a TensorFlow library from a download host that is often unreachable and
 * is too old for current GPUs; PyPI's TensorFlow wheel carries the same C interface, newer:
 *
 *   wheel ──► libtensorflow_cc, libtensorflow_framework, headers ─┐
 *   node-api-headers ─────────────────────────────────────────────┼─► g++ ─► tfjs_binding.node
 *   @tensorflow/tfjs-node: two C++ files ─────────────────────────┘
 *
 *   node trainer/native/build.ts [--gpu] [--wheel FILE]
 *
 * The result is kept under `${TRAININGRUN_CACHE:-${XDG_CACHE_HOME:-~/.cache}/trainingrun}/tfjs-native` and linked into
 * `node_modules`, so a second run, or another clone, only makes the links. Needs Linux on x64, python3 with pip, g++.
 */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";

const tensorflowVersion = "2.15.1";
const require = createRequire(import.meta.url);

/** Members of the wheel that the addon needs; the rest of it (Python code, kernels' sources) stays packed. */
const extractMembers = `
import sys, zipfile
wheel, target = sys.argv[1:3]
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        if name in ("tensorflow/libtensorflow_cc.so.2", "tensorflow/libtensorflow_framework.so.2") or (
            name.startswith("tensorflow/include/") and name.endswith((".h", ".inc"))
        ):
            archive.extract(name, target)
`;

/** Why the addon could not be built, and what to do about it. */
class NativeBuildError extends Error {
  override name = "NativeBuildError";
}

function main(): void {
  const { values } = parseArgs({
    options: { gpu: { type: "boolean", default: false }, wheel: { type: "string" } },
  });
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new NativeBuildError(
      `Cannot build native TensorFlow because PyPI's ${tensorflowVersion} wheel is used for Linux on x64 only: ` +
        `${process.platform} on ${process.arch}. Training falls back to WebAssembly there.`,
    );
  }
  const started = performance.now();
  const flavour = values.gpu ? "tensorflow" : "tensorflow-cpu";
  const addon = values.gpu ? "@tensorflow/tfjs-node-gpu" : "@tensorflow/tfjs-node";
  const packageDirectory = dirname(require.resolve(`${addon}/package.json`));
  const built = join(
    cacheDirectory(),
    "tfjs-native",
    `${flavour}-${tensorflowVersion}-${process.platform}-${process.arch}`,
  );

  if (existsSync(join(built, "complete"))) say(`${built} is there already.`);
  else buildInto(built, { flavour, packageDirectory, wheel: values.wheel });

  link(join(built, "lib", "tfjs_binding.node"), join(packageDirectory, "lib", "napi-v8", "tfjs_binding.node"));
  for (const library of ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"]) {
    link(join(built, "lib", library), join(packageDirectory, "deps", "lib", library));
  }
  say(`${addon} uses TensorFlow ${tensorflowVersion} now (${((performance.now() - started) / 1000).toFixed(1)} s).`);
}

type Build = { flavour: string; packageDirectory: string; wheel: string | undefined };

/** Builds beside the target and renames at the end: an interrupted build is never taken for a finished one. */
function buildInto(target: string, { flavour, packageDirectory, wheel }: Build): void {
  mkdirSync(dirname(target), { recursive: true });
  const work = mkdtempSync(`${target}.building-`);
  try {
    const archive = wheel === undefined ? downloadWheel(flavour, work) : resolve(wheel);
    say("taking the TensorFlow libraries and headers out of the wheel (about 10 s) ...");
    execFileSync("python3", ["-c", extractMembers, archive, work], { stdio: ["ignore", "inherit", "inherit"] });
    mkdirSync(join(work, "lib"));
    for (const library of ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"]) {
      renameSync(join(work, "tensorflow", library), join(work, "lib", library));
    }
    compile(work, packageDirectory);
    rmSync(join(work, "tensorflow"), { recursive: true });
    rmSync(join(work, "wheel"), { recursive: true, force: true });
    writeFileSync(join(work, "complete"), `${flavour} ${tensorflowVersion}\n`);
    chmodSync(work, 0o755);
    rmSync(target, { recursive: true, force: true });
    renameSync(work, target);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function downloadWheel(flavour: string, work: string): string {
  const size = flavour === "tensorflow-cpu" ? "207 MB" : "475 MB";
  say(`downloading PyPI's ${flavour} ${tensorflowVersion} wheel (${size}; 10 s to a few minutes) ...`);
  const wanted = [
    "--platform",
    "manylinux_2_17_x86_64",
    "--python-version",
    "3.11",
    "--only-binary=:all:",
    "--no-deps",
  ];
  const options = ["download", "--quiet", "--disable-pip-version-check", "--no-cache-dir", ...wanted];
  const directory = join(work, "wheel");
  execFileSync("python3", ["-m", "pip", ...options, "--dest", directory, `${flavour}==${tensorflowVersion}`], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  const file = readdirSync(directory).find((name) => name.endsWith(".whl"));
  if (file === undefined) {
    throw new NativeBuildError(`Cannot build native TensorFlow because pip left no wheel in ${directory}.`);
  }
  return join(directory, file);
}

function compile(work: string, packageDirectory: string): void {
  say("compiling the addon (about 15 s) ...");
  const binding = join(packageDirectory, "binding");
  const sources = readdirSync(binding).filter((name) => name.endsWith(".cc"));
  const headers = dirname(require.resolve("node-api-headers/package.json"));
  const includes = [join(headers, "include"), join(work, "tensorflow", "include"), packageDirectory];
  const code = ["-std=c++17", "-O2", "-fPIC", "-shared", "-DNAPI_VERSION=8", "-Wno-deprecated-declarations"];
  // The addon is loaded from lib/napi-v8 of the package; the libraries are found beside the real file, or in deps/lib.
  const libraries = [`-L${join(work, "lib")}`, "-l:libtensorflow_framework.so.2", "-l:libtensorflow_cc.so.2"];
  const search = "-Wl,-rpath,$ORIGIN:$ORIGIN/../../deps/lib";
  const files = sources.map((name) => join(binding, name));
  const output = join(work, "lib", "tfjs_binding.node");
  const include = includes.map((directory) => `-I${directory}`);
  execFileSync("g++", [...code, ...include, ...files, "-o", output, ...libraries, search], {
    stdio: ["ignore", "inherit", "inherit"],
  });
}

/** Replaces whatever stands at `path` by a link to `target`. */
function link(target: string, path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  rmSync(path, { force: true });
  symlinkSync(target, path);
}

function cacheDirectory(): string {
  const base = process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache");
  return process.env.TRAININGRUN_CACHE ?? join(base, "trainingrun");
}

function say(text: string): void {
  process.stdout.write(`native TensorFlow: ${text}\n`);
}

main();
