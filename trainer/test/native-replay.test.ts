import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { live, runDirectory } from "./short-life.ts";

const packageDirectory = dirname(createRequire(import.meta.filename).resolve("@tensorflow/tfjs-node/package.json"));
const built = existsSync(join(packageDirectory, "lib", "napi-v8", "tfjs_binding.node"));
const policy = { replaySteps: 5 };

test.skipIf(!built).each([
  ["tensorflow", "wasm"],
  ["wasm", "tensorflow"],
] as const)(
  "saved by %s, resumed by %s: the same weights, nearly the same losses, and both are told",
  async (first, second) => {
    const directory = runDirectory();
    await live({ directory, policy, steps: 9, saveAt: 4, backend: first });
    const same = await live({ directory, policy, steps: 4, backend: first });
    const other = await live({ directory, policy, steps: 12, backend: second });
    expect([other.from, other.before.weights, other.before.optimizer]).toEqual([4, same.weights, same.optimizer]);
    expect(other.report?.environment?.differences.map(({ member }) => member)).toContain("backend");
    expect(other.replay).toMatchObject({ recorded: 5, compared: 5, result: "WithinTolerance", firstDifference: 5 });
    expect(Number(other.replay?.largestDifference)).toBeLessThan(1e-4);
  },
);

test.skipIf(!built)("resumed by the same native backend, the recorded steps come out bit-exact", async () => {
  const directory = runDirectory();
  await live({ directory, policy, steps: 9, saveAt: 4, backend: "tensorflow" });
  const { replay } = await live({ directory, policy, steps: 9, backend: "tensorflow" });
  expect(replay).toMatchObject({ recorded: 5, compared: 5, result: "BitExact" });
});
