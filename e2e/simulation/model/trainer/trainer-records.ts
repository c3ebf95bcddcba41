import { join } from "node:path";
import { writeAtomically } from "@trainingrun/agent/control-directory.ts";
import { TerminationLog } from "@trainingrun/agent/termination-log.ts";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import type { PodEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import type { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import type { TrainerRecord } from "@trainingrun/checkpoint/contract/termination.ts";

/** What a trainer tells others: the agent by the control directory, the kubelet by the termination log. */
export class TrainerRecords {
  readonly #place: PodEnvironment;
  readonly #log: TerminationLog;

  constructor(place: PodEnvironment) {
    this.#place = place;
    this.#log = new TerminationLog(place.TRAININGRUN_TERMINATION_LOG);
  }

  /** Its last word so far. A place that cannot be written to keeps the other one from nothing. */
  async leave(record: Extract<TrainerRecord, { kind: "done" | "preempted" }>): Promise<void> {
    const line = JSON.stringify(record);
    await this.#write(controlFiles[record.kind], line);
    this.#log.writeText(line);
  }

  /** How far it is. */
  async tell(progress: Progress): Promise<void> {
    await this.#write(controlFiles.progress, JSON.stringify(progress));
  }

  async #write(name: string, text: string): Promise<void> {
    const path = join(this.#place.TRAININGRUN_CONTROL, name);
    try {
      await writeAtomically(path, `${text}\n`);
    } catch (error) {
      this.#log.writeText(`Cannot write ${path}: ${String(error)}`);
    }
  }
}
