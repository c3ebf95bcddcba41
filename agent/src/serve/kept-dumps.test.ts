import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { expect, onTestFinished, test } from "vitest";
import { podVariables } from "../../test/sample.ts";
import { readEnvironment } from "../environment.ts";
import { keepDump } from "./kept-dumps.ts";

function volume() {
  const root = mkdtempSync(join(tmpdir(), "kept-dumps-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const directory = join(root, "checkpoints", "diagnostics");
  const of = (attempt: number) =>
    readEnvironment(AgentEnvironment, podVariables(root, { TRAININGRUN_ATTEMPT: `${attempt}` }));
  return { directory, of };
}

test("a dump is kept whole, under a name that says when the trainer stood still", async () => {
  const { directory, of } = volume();
  const path = await keepDump(of(3), { step: 120, text: "at spin\n" });
  expect(path).toBe(join(directory, "attempt-3-worker-0-step-120.txt"));
  expect(readFileSync(path, "utf8")).toBe("at spin\n");
});

test("the three newest stay, by attempt and step, and nothing but a worker's own dumps goes", async () => {
  const { directory, of } = volume();
  mkdirSync(directory, { recursive: true });
  const others = ["attempt-1-worker-1-step-5.txt", "notes.txt"];
  for (const name of [...others, "attempt-2-worker-0-step-7.txt.12.tmp"]) writeFileSync(join(directory, name), "");
  for (const [attempt, step] of [
    [9, 100],
    [10, 20],
    [2, 500],
    [10, 9],
  ] as const) {
    await keepDump(of(attempt), { step, text: "" });
  }
  expect(readdirSync(directory).toSorted()).toEqual(
    [
      ...others,
      "attempt-10-worker-0-step-20.txt",
      "attempt-10-worker-0-step-9.txt",
      "attempt-9-worker-0-step-100.txt",
    ].toSorted(),
  );
});
