import { join } from "node:path";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import { ControlFile } from "../control-directory.ts";

/** The trainer's progress as last read: a file that is absent or torn at one look does not take the step back. */
export class TrainerProgress {
  readonly #file: ControlFile<typeof Progress>;
  #last: Progress | null = null;

  constructor(controlDirectory: string) {
    this.#file = new ControlFile(join(controlDirectory, controlFiles.progress), Progress);
  }

  /** Reads the file now. */
  async read(): Promise<Progress | null> {
    this.#last = (await this.#file.read()) ?? this.#last;
    return this.#last;
  }

  /** What the last {@link read} found, for an end that cannot wait. */
  get last(): Progress | null {
    return this.#last;
  }
}
