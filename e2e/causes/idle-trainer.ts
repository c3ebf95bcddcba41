/*
 * The program of a training pod that is to be ended: it does one step, as soon as its restore is through, and costs no
 * processor from then on; the next one, it says, is a thousand seconds away. Asked to stop it says so in its record and
 * ends with 143, as the SDK does. It is handed to Node as text, so it has no types and no imports but Node's own.
 */
import { existsSync, renameSync, writeFileSync } from "node:fs";

const { TRAININGRUN_ATTEMPT, TRAININGRUN_CONTROL: control = "", TRAININGRUN_TERMINATION_LOG: log = "" } = process.env;
const step = 1;

process.on("SIGTERM", () => {
  const record = { kind: "preempted", attempt: Number(TRAININGRUN_ATTEMPT), step, checkpoint: null };
  writeFileSync(log, JSON.stringify({ ...record, finalCheckpoint: "NotAttempted", graceUsedSeconds: 0 }));
  process.exit(143);
});

const look = setInterval(() => {
  if (!existsSync(`${control}/restored`)) return;
  clearInterval(look);
  const time = new Date().toISOString();
  const saves = { committed: 0, failed: 0, skipped: 0, lastSeconds: 0, lastBytes: 0, stallSeconds: 0 };
  const done = { version: 1, step, targetStep: 1000, epoch: 0, samples: 0, metrics: [], stepsPerSecond: 0.001 };
  const progress = { ...done, firstStep: { step, time }, saves, backend: "none", time };
  writeFileSync(`${control}/progress.json.new`, JSON.stringify(progress));
  renameSync(`${control}/progress.json.new`, `${control}/progress.json`);
  setInterval(() => undefined, 60_000);
}, 50);
