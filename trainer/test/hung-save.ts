/**
 * Run by hung-exit.test.ts: `node hung-save.ts DIRECTORY END` begins a save that waits for its volume for ever, in a call that
 * no signal of its own process ends, and comes to its end in one of the ways below.
 */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { DirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { endFenced, endStuck } from "../src/endings.ts";
import { FinalSaveError } from "../src/last-save.ts";
import { Pacer } from "../src/pacer.ts";
import { Saver } from "../src/saver.ts";
import type { StartWriter } from "../src/saving/start-writer.ts";

const [root = "", end = ""] = process.argv.slice(2);
const pipe = join(root, "pipe");
execFileSync("mkfifo", [pipe]);

const hangs = Promise.withResolvers<void>();
/** A thread that waits for somebody to read from the pipe, which nobody ever does. */
const hangingWriter: StartWriter = (port) => {
  const waits = `
    const { workerData, parentPort } = require("node:worker_threads");
    require("node:fs").open(workerData.pipe, "w", () => undefined);
    parentPort.postMessage("waiting");
  `;
  const thread = new Worker(waits, { eval: true, workerData: { port, pipe }, transferList: [port], execArgv: [] });
  thread.on("message", () => hangs.resolve());
  thread.unref();
  return async () => void (await thread.terminate());
};

const ends: Readonly<Record<string, () => void>> = {
  stuck: () => endStuck(new FinalSaveError("The save of step 5 has not ended.")),
  fenced: () => endFenced(null),
  thrown: () => {
    throw new Error("A step failed.");
  },
  caught: () => saver.leave("the training ended with an error"),
  "without another program": () => {
    delete process.execve;
    endFenced(null);
  },
};

const pacer = new Pacer();
pacer.release();
const who = { attempt: 1, parent: null, nonFiniteBefore: [], environment: {} };
const store = new DirectoryStore(root, "run");
const saver = new Saver({ ...who, store, writer: hangingWriter, pacer }, null);
const optimizer = { kind: "none", iterations: 0 };
saver.begin({
  state: {
    ...{ version: 1, step: 5, random: { seed: 1, counter: 5 }, datasetSize: 10, optimizer, metrics: [] },
    ...{ cursor: { epoch: 0, permutationSeed: 1, position: 5 }, evaluatedStep: 0, best: null },
    ...{ trainedSeconds: 1, attempts: 1 },
  },
  snapshot: { weights: [], optimizerTensors: [], optimizer },
});
await hangs.promise;
process.on("exit", (code) => console.log(`exit ${code}`));
ends[end]?.();
