import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { expect, onTestFinished, test } from "vitest";

/* A stop comes at moments that only the process itself can hit: while it starts, and while it evaluates. */

const program = join(import.meta.dirname, "stopped-life.ts");
const longest = { timeout: 180_000 };

function runDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "stopped-life-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function live(directory: string, { steps, stop = "never" }: { steps: number; stop?: string }) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, directory, `${steps}`, stop], {
    encoding: "utf8",
    timeout: 50_000,
  });
  return { status, output: stdout + stderr };
}

/** Every checkpoint by its directory, with the accuracy that its commit names, and the final one. */
async function checkpointsOf(directory: string) {
  const { state } = await readLog(await openDirectoryStore(directory, { runUid: "local" }));
  const named = state.checkpoints.map((ref) => ({
    name: ref.directory.replace(/^step-0*/, ""),
    accuracy: ref.metrics.find(({ name }) => name === "accuracy")?.value,
  }));
  const final = state.checkpoints.find(({ digest }) => digest === state.done?.manifest);
  return { named, final: final?.directory.replace(/^step-0*/, "") };
}

/** A run of four steps that was stopped in the evaluation after the last of them. */
function stoppedWhileEvaluating(): string {
  const directory = runDirectory();
  const { status, output } = live(directory, { steps: 4, stop: "evaluating" });
  expect([status, output]).toEqual([143, expect.stringContaining("stopped at step 4: final checkpoint Saved")]);
  return directory;
}

test("the final checkpoint names what the last evaluation measured, although a stop came in it", longest, async () => {
  const directory = stoppedWhileEvaluating();
  expect(live(directory, { steps: 4 })).toMatchObject({ status: 0 });
  expect(await checkpointsOf(directory)).toEqual({
    named: [
      { name: "4-a0001", accuracy: undefined },
      { name: "4-a0002", accuracy: "0.04" },
    ],
    final: "4-a0002",
  });
});

test("so does one between two steps, which is saved again with it", longest, async () => {
  const directory = stoppedWhileEvaluating();
  expect(live(directory, { steps: 8 })).toMatchObject({ status: 0 });
  expect((await checkpointsOf(directory)).named).toEqual([
    { name: "4-a0001", accuracy: undefined },
    { name: "4-a0002", accuracy: "0.04" },
    { name: "8-a0002", accuracy: "0.08" },
  ]);
});

test("a second stop in the last evaluation costs nothing, and the run is not done without it", longest, async () => {
  const directory = stoppedWhileEvaluating();
  expect(live(directory, { steps: 4, stop: "evaluating" })).toMatchObject({ status: 143 });
  expect((await checkpointsOf(directory)).named).toEqual([{ name: "4-a0001", accuracy: undefined }]);
  expect(live(directory, { steps: 4 })).toMatchObject({ status: 0 });
  expect(await checkpointsOf(directory)).toMatchObject({ final: "4-a0003" });
});

test.each([
  { moment: "loading", heard: "while the checkpoint is being loaded", does: [] },
  { moment: "restored", heard: "while the learner takes it", does: ["restored"] },
])("a stop that comes $heard ends the attempt before it goes on", longest, ({ moment, does }) => {
  const directory = stoppedWhileEvaluating();
  const { status, output } = live(directory, { steps: 8, stop: moment });
  expect(output.split("\n").filter((line) => ["restored", "evaluated", "stepped"].includes(line))).toEqual(does);
  expect(output).toContain("stopped at step 4: final checkpoint Saved (no step was trained since the resume)");
  expect(status).toBe(143);
});
