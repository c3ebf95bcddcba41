import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";

const root = resolve(import.meta.dirname, "..", "..");
const importedFirst = (path: string) =>
  /^import\s(?:[^"]*?\sfrom\s)?"([^"]+)";/m.exec(readFileSync(join(root, path), "utf8"))?.[1];

test.each([
  ["trainer/src/train.ts", "./stop.ts"],
  ["trainer/src/train-learner.ts", "./stop.ts"],
  ["examples/mnist/train.ts", "@trainingrun/trainer/stop.ts"],
  ["examples/linear/train.ts", "@trainingrun/trainer/stop.ts"],
  ["agent/src/main.ts", "./stop.ts"],
])("%s installs its signal handlers before it loads anything else", (path, stop) => {
  expect(importedFirst(path)).toBe(stop);
});

test.each([
  ["agent", ["tini", "--", "node", "/opt/trainingrun/agent/agent.cjs"]],
  ["operator", ["tini", "--", "node", "/opt/trainingrun/operator/operator.mjs"]],
  ["trainer", ["tini", "--", "node"]],
])("no signal is lost on the first process of the %s image", (image, entrypoint) => {
  const dockerfile = readFileSync(join(root, "images", image, "Dockerfile"), "utf8");
  expect(JSON.parse(/^ENTRYPOINT (.*)$/m.exec(dockerfile)?.[1] ?? "null")).toEqual(entrypoint);
});
