import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nothingExpected } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { restoreRun } from "@trainingrun/checkpoint/restore.ts";
import { openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { expect, onTestFinished, test } from "vitest";

/* Fault F16: an fsync that does not return. strace holds the call back, as a device or a server does that has gone. */

const program = join(import.meta.dirname, "blocked-fsync.ts");
const canTrace = mayBeAttached();
const runUid = "run";

/** Attaching to a process that is no child of strace's own needs more rights than starting one. */
function mayBeAttached(): boolean {
  const sleeper = spawn("sleep", ["10"], { stdio: "ignore" });
  const tried = spawnSync("timeout", ["0.5", "strace", "-p", String(sleeper.pid)], { encoding: "utf8" });
  sleeper.kill("SIGKILL");
  return tried.error === undefined && tried.stderr.includes("attached");
}

async function openedRun() {
  const root = mkdtempSync(join(tmpdir(), "blocked-fsync-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const store = await openDirectoryStore(root, { runUid });
  const who = { runUid, attempt: 1, podUid: "pod-1", node: "node", generation: 1 };
  await restoreRun(store, { ...who, expected: nothingExpected });
  return { root, steps: async () => (await readLog(store)).state.checkpoints.map(({ step }) => step) };
}

type Course = { delaySeconds: number; patienceSeconds: number; until: string };

/** Saves a last step in a process of its own, of which each fsync is held up for so long, until it has said something. */
async function saveLastStep(root: string, { delaySeconds, patienceSeconds, until }: Course) {
  const trainer = start(process.execPath, [program, root, String(patienceSeconds)]);
  await trainer.says("ready\n");
  const hold = `inject=fsync,fdatasync:delay_enter=${delaySeconds * 1_000_000}`;
  const tracing = ["-f", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", hold];
  const tracer = start("strace", [...tracing, "-p", String(trainer.process.pid)]);
  await tracer.says("attached");
  const ended = once(trainer.process, "close");
  trainer.process.stdin?.end();
  await trainer.says(until);
  // A thread that it holds is not told to be dead before, even if it is; one that lives goes on.
  tracer.process.kill("SIGKILL");
  const [code] = await ended;
  return { code, text: trainer.text() };
}

/** A process that is gone with the test, what it says, and a wait until it has said something. */
function start(file: string, parameters: readonly string[]) {
  const process: ChildProcess = spawn(file, parameters, { stdio: ["pipe", "pipe", "pipe"] });
  onTestFinished(() => void process.kill("SIGKILL"));
  let said = "";
  for (const stream of [process.stdout, process.stderr]) stream?.on("data", (piece) => (said += String(piece)));
  const says = (words: string) => expect.poll(() => said, { timeout: 30_000 }).toContain(words);
  return { process, says, text: () => said };
}

test.skipIf(!canTrace)(
  "a last save whose fsync does not return ends the process, in words, and nothing counts",
  async () => {
    const { root, steps } = await openedRun();
    const { code, text } = await saveLastStep(root, { delaySeconds: 600, patienceSeconds: 2, until: "exit" });
    expect(text).toMatch(/FinalSaveError: Cannot finish the run because .* the save of step 5 has not ended in \d+ s/);
    // Whoever listens for the exit hears of it, and then nothing waits for the volume.
    expect([code, text]).toEqual([1, expect.stringContaining("\nexit 1\n")]);
    expect(await steps()).toEqual([]);
  },
);

test.skipIf(!canTrace)("a last save whose fsyncs take their time ends well", async () => {
  const { root, steps } = await openedRun();
  const course = { delaySeconds: 0.02, patienceSeconds: 30, until: "exit" };
  expect(await saveLastStep(root, course)).toMatchObject({ code: 0, text: "ready\nsaved step 5\nexit 0\n" });
  expect(await steps()).toEqual([5]);
});
