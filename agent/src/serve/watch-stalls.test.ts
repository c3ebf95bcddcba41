import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { digestOf, podVariables, progressAt } from "../../test/sample.ts";
import { TrainerRole } from "../../test/trainer-role.ts";
import { readEnvironment } from "../environment.ts";
import { nothingKnown } from "./knowledge.ts";
import { Reporter } from "./reporter.ts";
import { watchForStalls } from "./watch-stalls.ts";

beforeEach(() => void vi.spyOn(console, "error").mockReturnValue(undefined));

/** A pod whose agent watches, and a trainer that answers each request for a dump with `dump`. */
function watched(over: Record<string, string> = { TRAININGRUN_STALL_SECONDS: "0.05" }) {
  const root = mkdtempSync(join(tmpdir(), "watch-stalls-"));
  const variables = podVariables(root, over);
  for (const name of ["checkpoints", "control"]) mkdirSync(join(root, name));
  const environment = readEnvironment(AgentEnvironment, variables);
  const reporter = new Reporter(environment);
  const trainer = new TrainerRole(variables);
  const end = new AbortController();
  let asked = 0;
  let dump = "at spin\n";
  const answering = setInterval(() => {
    if (!readdirSync(join(root, "control")).includes("dump-request")) return;
    rmSync(join(root, "control", "dump-request"), { force: true });
    asked += 1;
    trainer.write("dump", dump);
  }, 5);
  const watching = watchForStalls(environment, { reporter, signal: end.signal, everyMs: 5 });
  onTestFinished(async () => {
    clearInterval(answering);
    end.abort();
    await watching;
    rmSync(root, { recursive: true, force: true });
  });
  const step = (number: number) => trainer.write("progress.json", JSON.stringify(progressAt(number)));
  return {
    root,
    reporter,
    trainer,
    step,
    watching,
    asked: () => asked,
    says: (text: string) => {
      dump = text;
    },
  };
}

const stall = (pod: ReturnType<typeof watched>) => expect.poll(() => pod.reporter.stall, { timeout: 20_000 });

test("a standstill is told once it is explained, with all of it on the volume, and is over with the next step", async () => {
  const pod = watched();
  pod.step(7);
  await stall(pod).toMatchObject({ step: 7, dump: "at spin" });
  const diagnostics = join(pod.root, "checkpoints", "diagnostics");
  expect(readdirSync(diagnostics)).toEqual(["attempt-1-worker-0-step-7.txt"]);
  expect(readFileSync(join(diagnostics, "attempt-1-worker-0-step-7.txt"), "utf8")).toMatch(
    /^Attempt 1 has done no step after step 7 for \d+ s, on node node-a, seen at .*\n\nat spin\n$/,
  );
  // It goes on to be told, and nobody is asked again.
  await stall(pod).toMatchObject({ step: 7, dump: "at spin", seconds: 1 });
  expect((await pod.reporter.state()).stall).toMatchObject({ step: 7 });
  expect(pod.asked()).toBe(1);
  pod.trainer.write("progress.json", JSON.stringify(progressAt(100)));
  await stall(pod).toBeNull();
  expect((await pod.reporter.state()).stall).toBeUndefined();
});

test("what is told is short, and ends with a whole line", async () => {
  const pod = watched();
  pod.says(Array.from({ length: 400 }, (_, line) => `line ${line} 🚂`).join("\n"));
  pod.step(7);
  await stall(pod).not.toBeNull();
  const { dump } = pod.reporter.stall ?? {};
  expect(dump?.length).toBeLessThanOrEqual(2048);
  expect(dump).toMatch(/^line 0 🚂\n(line \d+ 🚂\n)+…$/);
});

const records: Record<"done" | "preempted", Parameters<TrainerRole["leave"]>[0]> = {
  done: { kind: "done", attempt: 1, step: 7, checkpoint: digestOf("a"), metrics: [] },
  preempted: {
    kind: "preempted",
    attempt: 1,
    step: 7,
    finalCheckpoint: "Saved",
    checkpoint: null,
    graceUsedSeconds: 1,
  },
};

test.each(["done", "preempted"] as const)("a trainer that is %s stands still as it should", async (kind) => {
  const pod = watched();
  pod.step(7);
  await stall(pod).not.toBeNull();
  pod.trainer.leave(records[kind]);
  await stall(pod).toBeNull();
});

test("of a fenced attempt nothing is told", async () => {
  const pod = watched();
  pod.step(7);
  await stall(pod).not.toBeNull();
  pod.reporter.knowledge = { ...nothingKnown, phase: "Fenced" };
  await stall(pod).toBeNull();
});

test("a volume that cannot be written to keeps nothing back", async () => {
  const pod = watched();
  rmSync(join(pod.root, "checkpoints"), { recursive: true });
  writeFileSync(join(pod.root, "checkpoints"), "no directory");
  pod.step(7);
  await stall(pod).toMatchObject({ step: 7, dump: "at spin" });
});

test("a trainer that comes to no end after its last step is told of in words of its own", async () => {
  const now = performance.now.bind(performance);
  let skewMs = 0;
  // Each look is ten seconds after the one before.
  const clock = vi.spyOn(performance, "now").mockImplementation(() => {
    skewMs += 10_000;
    return now() + skewMs;
  });
  onTestFinished(() => clock.mockRestore());
  const pod = watched();
  pod.trainer.write("progress.json", JSON.stringify(progressAt(60, { phase: "Finishing" })));
  await stall(pod).toMatchObject({ step: 60, expects: "End" });
  expect(pod.reporter.stall?.seconds).toBeGreaterThanOrEqual(600);
  expect(readFileSync(join(pod.root, "checkpoints/diagnostics/attempt-1-worker-0-step-60.txt"), "utf8")).toMatch(
    /^Attempt 1 has not come to its end for \d+ s after its last step, 60, on node node-a/,
  );
});

test("a run that asks for no watch has none", async () => {
  const pod = watched({});
  await pod.watching;
  expect(pod.reporter.stall).toBeNull();
});
