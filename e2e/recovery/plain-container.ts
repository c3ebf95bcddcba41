import { appendFileSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { SavedStep } from "./saved-step.ts";

/*
 * The one container that everybody is asked to keep running. It trains nothing, so what is measured is the time of those
 * who keep it running. In its diary stands since when it runs and when it crashed. Under a TrainingRun it runs once its
 * checkpoint has been handed over, and then does a step and saves it, so that there is one to verify the next time.
 *
 *     control/restored (TrainingRun only) ─► "running" ─► step, save (TrainingRun only) ─► SIGTERM ─► 300 ms ─► 143
 *                                                                                     └──► a file `crash` ─► 1
 *
 * What it imports by itself is Node's own, and so as little as a small program of anybody's; the checkpoint library comes
 * after the moment that counts.
 */

const endsAfterMs = 300;
const lookEveryMs = 10;
const { RECOVERY_DIARY: directory = "", TRAININGRUN_CONTROL: control } = process.env;

let step: SavedStep | undefined;
let isEnding = false;

process.on("SIGTERM", () => {
  if (isEnding) return;
  isEnding = true;
  setTimeout(() => {
    step?.leave();
    process.exit(143);
  }, endsAfterMs);
});

function begin(): void {
  const crash = join(directory, "crash");
  mkdirSync(directory, { recursive: true });
  // One that was asked for meanwhile was asked of the process before.
  rmSync(crash, { force: true });
  write("running");
  setInterval(() => {
    if (!existsSync(crash)) return;
    rmSync(crash);
    write("crashed");
    process.exit(1);
  }, lookEveryMs);
}

function write(what: "running" | "crashed"): void {
  appendFileSync(join(directory, "diary"), `${what} ${Date.now()}\n`);
}

async function saveStep(): Promise<void> {
  const saved = await import("./saved-step.ts");
  step = await saved.saveStep(process.env);
}

if (control === undefined) begin();
else {
  const look = setInterval(() => {
    if (!existsSync(join(control, "restored"))) return;
    clearInterval(look);
    begin();
    void saveStep();
  }, lookEveryMs);
}
