import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import { PodEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import type { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import { Restored } from "@trainingrun/checkpoint/contract/restored.ts";
import type { TrainerRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { jsonFile } from "@trainingrun/checkpoint/file-source.ts";
import { healthy } from "@trainingrun/checkpoint/health.ts";
import { loadCheckpoint } from "@trainingrun/checkpoint/load.ts";
import { saveCheckpoint } from "@trainingrun/checkpoint/save.ts";
import { DirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { z } from "zod";

/** A step that a process has done and saved. */
export type SavedStep = Readonly<{
  /** Leaves the record of a process that was asked to stop and had its last step saved. */
  leave: () => void;
}>;

const stateName = "state.json";
const State = z.object({ step: z.int().min(1) });
const targetStep = 1_000_000;

/** Takes up the checkpoint that was handed over, does the step after it and saves that. @throws where it is another step's. */
export async function saveStep(variables: NodeJS.ProcessEnv): Promise<SavedStep> {
  const environment = PodEnvironment.parse(variables);
  const { TRAININGRUN_CHECKPOINTS: root, TRAININGRUN_UID: runUid, TRAININGRUN_ATTEMPT: attempt } = environment;
  const control = environment.TRAININGRUN_CONTROL;
  const { resume } = Restored.parse(JSON.parse(readFileSync(join(control, controlFiles.restored), "utf8")));
  const step = (await stepOf(resume)) + 1;
  const time = new Date().toISOString();
  const saved = await saveCheckpoint(new DirectoryStore(root, runUid), {
    ...{ runUid, attempt, step, parent: resume?.digest ?? null, metrics: [], health: healthy },
    files: [jsonFile(stateName, { step } satisfies z.infer<typeof State>)],
    producer: { name: "plain-container", version: "1" },
  });
  const saves = {
    ...{ committed: 1, failed: 0, skipped: 0, stallSeconds: 0 },
    ...{ lastSeconds: saved.seconds, lastBytes: saved.bytes },
  };
  const progress: Progress = {
    ...{ version: 1, step, targetStep, epoch: 0, samples: step, metrics: [], stepsPerSecond: 0.001 },
    ...{ firstStep: { step, time }, saves, backend: "none", time: new Date().toISOString() },
  };
  const record: TrainerRecord = {
    ...{ kind: "preempted", attempt, step, finalCheckpoint: "Saved" },
    ...{ checkpoint: saved.manifest.digest, graceUsedSeconds: 0 },
  };
  write(control, controlFiles.progress, progress);
  return {
    leave: () => {
      write(control, controlFiles.preempted, record);
      writeFileSync(environment.TRAININGRUN_TERMINATION_LOG, JSON.stringify(record));
    },
  };
}

/** The step that a checkpoint holds, by its own bytes; 0 where there is none. */
async function stepOf(resume: Restored["resume"]): Promise<number> {
  if (resume === null) return 0;
  const loaded = await loadCheckpoint(resume.directory, { digest: resume.digest });
  const { step } = State.parse(await loaded.json(stateName));
  if (step === resume.step) return step;
  throw new Error(
    `Cannot go on from ${resume.directory} because it holds step ${step}: step ${resume.step} was promised`,
  );
}

function write(directory: string, name: string, content: unknown): void {
  const path = join(directory, name);
  writeFileSync(`${path}.new`, JSON.stringify(content));
  renameSync(`${path}.new`, path);
}
