import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";

/*
 * A snapshot is references. On each backend and with each optimizer: it costs no copy, keeps what it saw while training
 * goes on and the optimizer is thrown away, gives the same bytes in parts, and returns the memory when it is released.
 */

const program = join(import.meta.dirname, "snapshots-held.ts");
const native = dirname(createRequire(import.meta.filename).resolve("@tensorflow/tfjs-node/package.json"));
const nativeIsBuilt = existsSync(join(native, "lib", "napi-v8", "tfjs_binding.node"));

const held = {
  tensors: expect.any(Number),
  changed: true,
  kept: true,
  copied: true,
  copiesWhileHolding: 0,
  buffersHeld: true,
  buffersReleased: true,
  tensorsLeft: 0,
};
const optimizers = [
  "SGD",
  "Momentum",
  "Nesterov",
  "Adagrad",
  "Adadelta",
  "RMSProp",
  "RMSProp, centered",
  "Adam",
  "Adamax",
];

describe("a snapshot keeps the values of its instant on", () => {
  test.each([
    { backend: "wasm", runsHere: true },
    { backend: "javascript", runsHere: true },
    { backend: "tensorflow", runsHere: nativeIsBuilt },
  ])("$backend", async ({ backend, runsHere }) => {
    if (!runsHere) return console.log("The native backend is not built: node trainer/native/build.ts builds it.");
    const { stdout } = await promisify(execFile)(process.execPath, [program, backend], { timeout: 50_000 });
    const lines = stdout.split("\n").filter((line) => line.startsWith("{"));
    expect(lines.map((line) => JSON.parse(line))).toEqual(optimizers.map((optimizer) => ({ optimizer, ...held })));
  });
});
