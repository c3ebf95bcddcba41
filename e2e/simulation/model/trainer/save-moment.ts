import { join } from "node:path";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import type { RunScenario } from "../../plan/scenario.ts";
import type { DiskView } from "../disk/disk-view.ts";
import { FileError } from "../disk/file-error.ts";
import type { Word } from "../gang/team.ts";
import type { TrainerPlace } from "./trainer-place.ts";

type Seen = Readonly<{ place: TrainerPlace; run: RunScenario; files: DiskView }>;

/** Whether a trainer saves at a step: by its interval, or because its agent asks it to; a request is taken up with that. */
export function savingAt(step: number, { place, run, files }: Seen): Word["saving"] {
  const { TRAININGRUN_INTERVAL: interval, TRAININGRUN_CONTROL: control } = place;
  const request = join(control, controlFiles.save);
  if (isThere(files, request)) {
    files.unlink(request);
    return "AskedFor";
  }
  const steps = "steps" in interval ? interval.steps : Math.ceil(secondsOf(interval) / (run.stepMs / 1_000));
  if (step % Math.max(1, steps) !== 0 || step >= run.targetStep) return "NotDue";
  return isThere(files, join(control, controlFiles.savingPaused)) ? "HeldUp" : "Due";
}

function secondsOf(interval: Exclude<TrainerPlace["TRAININGRUN_INTERVAL"], { steps: number }>): number {
  return "seconds" in interval ? interval.seconds : interval.auto.maxSeconds;
}

function isThere(files: DiskView, path: string): boolean {
  try {
    files.stat(path);
    return true;
  } catch (error) {
    if (error instanceof FileError) return false;
    throw error;
  }
}
