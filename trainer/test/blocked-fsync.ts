/**
 * Run by blocked-fsync.test.ts: `node blocked-fsync.ts DIRECTORY SECONDS` saves the last step of a run whose log is open
 * there, with the thread that writes and a patience of so many seconds, and ends as training does if that comes to no end.
 */
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { DirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { endStuck } from "../src/endings.ts";
import { FinalSaveError, saveLastStep } from "../src/last-save.ts";
import { Pacer } from "../src/pacer.ts";
import { type SaveRequest, Saver } from "../src/saver.ts";
import { writerThread } from "../src/saving/start-writer.ts";
import { zeroWeight } from "./zero-weight.ts";

const [root = "", seconds = ""] = process.argv.slice(2);
const runUid = "run";

const pacer = new Pacer();
pacer.release();
const who = { attempt: 1, parent: null, nonFiniteBefore: [], environment: {} };
const store = new DirectoryStore(root, runUid);
const saver = new Saver({ ...who, store, writer: writerThread({ root, runUid }), pacer }, null);
const optimizer = { kind: "none", iterations: 0 };

// A tracer is to be attached before anything is written.
console.log("ready");
await once(process.stdin.resume(), "end");
process.on("exit", (code) => console.log(`exit ${code}`));
const saveRequest = (): SaveRequest => ({
  state: {
    ...{ version: 1, step: 5, random: { seed: 1, counter: 5 }, datasetSize: 10, optimizer, metrics: [] },
    ...{ cursor: { epoch: 0, permutationSeed: 1, position: 5 }, evaluatedStep: 0, best: null },
    ...{ trainedSeconds: 1, attempts: 1 },
  },
  snapshot: { weights: [zeroWeight], optimizerTensors: [], optimizer },
});
saver.begin(saveRequest());
// From here on nothing is missing but the volume.
while (!(await readdir(store.root, { recursive: true })).join().match(/\/model\.safetensors|step-/)) await sleep(10);
try {
  const patienceMs = () => Number(seconds) * 1000;
  const stop = new AbortController().signal;
  const saved = await saveLastStep({ step: 5, saver, saveRequest }, { stop, patienceMs, partingMs: 500 });
  console.log(`saved step ${saved?.step}`);
  await saver.close();
} catch (error) {
  if (!(error instanceof FinalSaveError) || saver.inFlight === null) throw error;
  endStuck(error);
}
