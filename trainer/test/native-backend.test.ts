import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { expect, test } from "vitest";

const root = resolve(import.meta.dirname, "..");
const packageDirectory = dirname(createRequire(import.meta.filename).resolve("@tensorflow/tfjs-node/package.json"));
const built = existsSync(join(packageDirectory, "lib", "napi-v8", "tfjs_binding.node"));
const script = `
  const { startBackend } = await import(process.argv[1]);
  const { name, environment } = await startBackend({ device: "cpu", backend: "tensorflow" });
  console.log(JSON.stringify({ name, tensorflow: environment.tensorflow }));
`;

test.skipIf(!built)("the native backend says which TensorFlow computes: node trainer/native/build.ts builds it", () => {
  const path = join(root, "src", "tensorflow", "backend.ts");
  const child = spawnSync(process.execPath, ["--input-type=module", "--eval", script, path], {
    encoding: "utf8",
    timeout: 50_000,
  });
  expect(JSON.parse(child.stdout.trim().split("\n").at(-1) ?? "")).toEqual({
    name: "tensorflow-cpu",
    tensorflow: "2.15.1",
  });
});
