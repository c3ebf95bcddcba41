import type { SimProcess } from "../../host/process.ts";
import type { PodPart, StoreName } from "../../judge/history.ts";
import type { DiskView } from "../disk/disk-view.ts";

/** What a program is given when its container starts. */
export type ContainerStart = Readonly<{
  process: SimProcess;
  args: readonly string[];
  variables: Readonly<Record<string, string>>;
  part: PodPart;
  /** What it sees of files, for a program of the models that looks at them without waiting. */
  files: DiskView;
  /** Where its checkpoints lie. */
  store: StoreName;
}>;

/**
 * How a program ends: by an exit code, because it asked for more memory than there is, by a crash that it was made
 * to have, or because of what became of another worker of its gang.
 */
export type ProgramEnd = number | "OutOfMemory" | Readonly<{ planned: number }> | Readonly<{ byPeer: number }>;

/** What an image and its arguments stand for. */
export type ContainerProgram = (start: ContainerStart) => Promise<ProgramEnd>;
