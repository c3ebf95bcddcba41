import { describe, expect, test } from "vitest";
import { EnvironmentVerdict, reportLimits } from "./contract/resume.ts";
import { compareEnvironments, compareKnown, describeDifferences, environmentVerdict } from "./environment-lock.ts";

const environment = {
  version: 1,
  image: "example.com/mnist@sha256:aa",
  packages: { trainer: "0.1.0", tfjs: "4.22.0" },
  runtime: { node: "24.1.0", platform: "linux-x64" },
  backend: "tensorflow-gpu",
  device: { kind: "gpu", model: "NVIDIA H100", threads: 8 },
  driver: "535.104.05",
  dataset: "blake3:11",
  config: "blake3:22",
};

describe("a difference is named with both sides:", () => {
  test.each([
    ["the same environment has none", {}, []],
    [
      "another image",
      { image: "example.com/mnist@sha256:bb" },
      ["image: example.com/mnist@sha256:aa -> example.com/mnist@sha256:bb"],
    ],
    ["another package", { packages: { trainer: "0.1.0", tfjs: "4.23.0" } }, ["packages.tfjs: 4.22.0 -> 4.23.0"]],
    ["a package that was not there", { packages: { ...environment.packages, left: "1" } }, ["packages.left: ? -> 1"]],
    ["another runtime", { runtime: { node: "24.2.0", platform: "linux-x64" } }, ["runtime.node: 24.1.0 -> 24.2.0"]],
    [
      "another architecture",
      { runtime: { node: "24.1.0", platform: "linux-arm64" } },
      ["runtime.platform: linux-x64 -> linux-arm64"],
    ],
    [
      "a GPU before and a CPU now",
      { backend: "tensorflow-cpu", device: { kind: "cpu", model: "EPYC", threads: 8 }, driver: undefined },
      [
        "backend: tensorflow-gpu -> tensorflow-cpu",
        "device.kind: gpu -> cpu",
        "device.model: NVIDIA H100 -> EPYC",
        "driver: 535.104.05 -> ?",
      ],
    ],
    ["another number of threads", { device: { ...environment.device, threads: 4 } }, ["device.threads: 8 -> 4"]],
    ["other data", { dataset: "blake3:33" }, ["dataset: blake3:11 -> blake3:33"]],
    ["another configuration", { config: "blake3:33" }, ["config: blake3:22 -> blake3:33"]],
    ["an image that is not known now", { image: undefined }, ["image: example.com/mnist@sha256:aa -> ?"]],
    [
      "a later version's new fact",
      { version: 2, kernel: { flags: [1] } },
      ["kernel.flags: ? -> [1]", "version: 1 -> 2"],
    ],
  ])("%s", (_, change, expected) => {
    const now = withoutUndefined({ ...environment, ...change });
    const differences = compareEnvironments(environment, now);
    expect(differences.map(({ member, before = "?", now = "?" }) => `${member}: ${before} -> ${now}`)).toEqual(
      expected,
    );
  });
});

test("a checkpoint that records no environment differs as a whole", () => {
  expect(compareEnvironments(undefined, environment)).toEqual([{ member: "environment.json", now: "recorded" }]);
});

test("one who knows only some facts of the present compares these alone", () => {
  const known = { image: "example.com/mnist@sha256:aa", "runtime.platform": "linux-arm64" };
  expect(compareKnown(environment, known)).toEqual([
    { member: "runtime.platform", before: "linux-x64", now: "linux-arm64" },
  ]);
});

test("of a long value both ends are shown, so that an image's digest is", () => {
  const image = (digest: string) => ({ image: `registry.example.com/${"team/".repeat(40)}mnist@sha256:${digest}` });
  const [difference] = compareEnvironments(image("aa".repeat(32)), image("bb".repeat(32)));
  expect(difference?.before).toMatch(/^registry\.example\.com\/team.*….*\/mnist@sha256:(aa){32}$/);
  expect(difference?.now).toMatch(/….*\/mnist@sha256:(bb){32}$/);
});

test("what a document claims is bounded in the report, and counted in full", () => {
  const many = Array.from({ length: 500 }, (_, index) => [`${index}${"n".repeat(500)}`, "v".repeat(10_000)]);
  const hostile = Object.fromEntries(many);
  const verdict = environmentVerdict(compareEnvironments(hostile, {}), "Warn");
  expect(EnvironmentVerdict.parse(verdict)).toEqual(verdict);
  expect([verdict.total, verdict.differences.length]).toEqual([500, reportLimits.differences]);
  expect(JSON.stringify(verdict).length).toBeLessThan(8_000);
});

test("of a document without end only the first thousand facts are looked at", () => {
  const endless = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`fact-${index}`, index]));
  expect(compareEnvironments(endless, {})).toHaveLength(1_000);
});

test.each([
  ["a list", [1, 2]],
  ["a text", "environment"],
  ["null", null],
  ["a document with a prototype", JSON.parse('{"__proto__": {"backend": "wasm"}}')],
])("%s in place of an environment is compared like any other", (_, document) => {
  expect(compareEnvironments(document, document)).toEqual([]);
  expect(compareEnvironments(document, environment)).not.toEqual([]);
});

test("differences are told in one sentence, with a count of those that are not named", () => {
  const differences = compareEnvironments({ a: 1, b: 2, c: 3 }, { a: 2, b: 3 });
  expect(describeDifferences(differences, { named: 2, length: 20 })).toBe(
    "a is 1 in the checkpoint, 2 here; b is 2 in the checkpoint, 3 here; and 1 more",
  );
  expect(describeDifferences(differences)).toMatch(/; c is 3 in the checkpoint, unknown here$/);
});

function withoutUndefined(value: object): object {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined));
}
