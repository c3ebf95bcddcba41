import { join } from "node:path";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import { readControlFile } from "../control-directory.ts";

/** The trainer's progress as last read: a file that is absent or torn at one look does not take the step back. */
export class TrainerProgress {
  readonly #path: string;
  #last: Progress | null = null;

  constructor(controlDirectory: string) {
    this.#path = join(controlDirectory, controlFiles.progress);
  }

  /** Reads the file now. */
  async read(): Promise<Progress | null> {
    this.#last = (await readControlFile(this.#path, Progress)) ?? this.#last;
    return this.#last;
  }

  /** What the last {@link read} found, for an end that cannot wait. */
  get last(): Progress | null {
    return this.#last;
  }
}
