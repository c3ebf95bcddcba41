import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { getBuiltinModule } from "node:process";
import type * as tfjs from "@tensorflow/tfjs";
import { startWasm } from "./wasm-backend.ts";

/** TensorFlow.js, whichever backend runs it. */
export type TensorFlow = typeof tfjs;

/** What a script may ask for. `auto` takes the best there is. */
export type Device = "auto" | "cpu" | "gpu";
/** A choice of the program that computes; without it the first that is installed is taken, in this order. */
export type BackendName = "tensorflow" | "wasm" | "javascript";

/** A backend that runs, and what it is: `name` goes into progress, `environment` into `environment.json`. */
export type Backend = {
  readonly tf: TensorFlow;
  readonly name: "tensorflow-gpu" | "tensorflow-cpu" | "wasm" | "javascript";
  readonly environment: Readonly<Record<string, string | number>>;
};

/** The device or backend that the script asked for cannot be had: it never trains on another in silence. */
export class BackendError extends Error {
  override name = "BackendError";
}

const require = createRequire(import.meta.url);

/** Imports TensorFlow.js with the backend that fits the request. Import it nowhere else: a second copy shares nothing. */
export async function startBackend(wanted: { device: Device; backend: BackendName | undefined }): Promise<Backend> {
  const { device, backend } = wanted;
  if (device === "gpu") {
    if (backend !== undefined && backend !== "tensorflow") {
      throw new BackendError(`Cannot train on a GPU because only the tensorflow backend uses one: ${backend}.`);
    }
    return startNative("@tensorflow/tfjs-node-gpu", device);
  }
  const native =
    device === "auto" && hasAddon("@tensorflow/tfjs-node-gpu") ? "@tensorflow/tfjs-node-gpu" : "@tensorflow/tfjs-node";
  if (backend === "tensorflow" || (backend === undefined && hasAddon(native))) return startNative(native, device);
  if (backend === "javascript") return startJavaScript();
  try {
    const tf = await startWasm();
    return { tf, name: "wasm", environment: { tfjs: tf.version_core, threads: 1 } };
  } catch (error) {
    if (backend === "wasm") throw new BackendError(`Cannot start the wasm backend: ${String(error)}`, { cause: error });
    console.error(`The wasm backend does not start here, plain JavaScript (slow) takes over: ${String(error)}`);
    return startJavaScript();
  }
}

async function startJavaScript(): Promise<Backend> {
  const tf = await import("@tensorflow/tfjs");
  await tf.setBackend("cpu");
  return { tf, name: "javascript", environment: { tfjs: tf.version_core, threads: 1 } };
}

type NativePackage = "@tensorflow/tfjs-node" | "@tensorflow/tfjs-node-gpu";

/** What the native packages add to TensorFlow.js and its typings leave out. */
type NativeBackend = { readonly isUsingGpuDevice: boolean; readonly binding: { readonly TF_Version?: string } };

async function startNative(packageName: NativePackage, device: Device): Promise<Backend> {
  if (!hasAddon(packageName)) {
    throw new BackendError(
      `Cannot train with device ${device} because the native addon of ${packageName} is not built: ` +
        `run node trainer/native/build.ts${packageName.endsWith("-gpu") ? " --gpu" : ""}.`,
    );
  }
  prepareForNative();
  const tf = require(packageName) as TensorFlow;
  await tf.ready();
  const usesGpu = (tf.backend() as unknown as NativeBackend).isUsingGpuDevice;
  if (device === "gpu" && !usesGpu) {
    throw new BackendError(
      "Cannot train on a GPU because TensorFlow found none that it can use (see its messages above for the driver " +
        "or CUDA library that is missing): the pod must ask for nvidia.com/gpu and the image must carry CUDA 12.",
    );
  }
  repairMultinomial(tf);
  return {
    tf,
    name: usesGpu ? "tensorflow-gpu" : "tensorflow-cpu",
    environment: {
      tfjs: tf.version_core,
      tensorflow: tensorflowVersion(tf),
      threads: availableParallelism(),
      device: usesGpu ? "gpu" : "cpu",
    },
  };
}

/** Before the import: what the packages miss in current Node, and settings that TensorFlow reads from the environment. */
function prepareForNative(): void {
  const util = getBuiltinModule("node:util") as unknown as Record<string, unknown>;
  util.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined;
  util.isArray ??= Array.isArray;
  // Kernels whose sums depend on the order in which GPU threads finish are replaced or refused by TensorFlow.
  process.env.TF_DETERMINISTIC_OPS ??= "1";
  process.env.TF_CPP_MIN_LOG_LEVEL ??= "1";
  process.env.TF_FORCE_GPU_ALLOW_GROWTH ??= "true";
}

function tensorflowVersion(tf: TensorFlow): string {
  return (tf.backend() as unknown as NativeBackend).binding.TF_Version ?? "unknown";
}

/** Looked up before the import: a package without its addon registers half of itself and then throws. */
function hasAddon(packageName: NativePackage): boolean {
  try {
    const directory = dirname(require.resolve(`${packageName}/package.json`));
    return existsSync(join(directory, "lib", "napi-v8", "tfjs_binding.node"));
  } catch {
    return false;
  }
}

/**
 * The native multinomial kernel cuts its seed to a whole number, and the seeds that TensorFlow.js draws lie below 1:
 * all become 0, which TensorFlow takes for "seed yourself". Spread over the whole numbers they repeat as the others do.
 */
function repairMultinomial(tf: TensorFlow): void {
  const kernel = tf.getKernel("Multinomial", "tensorflow");
  if (kernel === undefined) return;
  tf.unregisterKernel("Multinomial", "tensorflow");
  tf.registerKernel({
    ...kernel,
    kernelFunc: (call) => {
      const seed = Number(call.attrs?.seed ?? 0);
      const whole = seed < 1 ? Math.floor(seed * 2 ** 24) + 1 : seed;
      return kernel.kernelFunc({ ...call, attrs: { ...call.attrs, seed: whole } });
    },
  });
}
