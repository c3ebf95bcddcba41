import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type * as tfjs from "@tensorflow/tfjs";
import { completeWasmKernels } from "./wasm-kernels.ts";

const binary = "tfjs-backend-wasm-simd.wasm";

/** TensorFlow.js on WebAssembly: no native code, so it runs wherever Node does. */
export async function startWasm(): Promise<typeof tfjs> {
  const tf = await import("@tensorflow/tfjs");
  const wasm = await import("@tensorflow/tfjs-backend-wasm");
  wasm.setWasmPaths(`${binaryDirectory()}/`);
  // One thread: with more, sums would depend on how many cores the next node has.
  tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
  if (!(await tf.setBackend("wasm"))) {
    throw new Error("Cannot train on WebAssembly because TensorFlow.js could not initialise its wasm backend.");
  }
  completeWasmKernels(tf);
  return tf;
}

/** Beside the program when it is bundled, else in the package. */
function binaryDirectory(): string {
  if (existsSync(join(import.meta.dirname, binary))) return import.meta.dirname;
  const require = createRequire(import.meta.url);
  return join(dirname(require.resolve("@tensorflow/tfjs-backend-wasm/package.json")), "dist");
}
