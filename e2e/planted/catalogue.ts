import { operatorMistakes } from "./operator-mistakes.ts";
import { storageMistakes } from "./storage-mistakes.ts";

/** Who has to notice a mistake: a test of the tree by its file and a part of its title, or a check of the simulation's judge. */
export type Catcher =
  | Readonly<{ kind: "Test"; file: string; title: string }>
  | Readonly<{ kind: "Simulation"; check: string }>;

/** A mistake that somebody could make, as a patch against the present code. */
export type PlantedBug = Readonly<{
  /** File below `patches/`. */
  patch: string;
  mistake: string;
  catcher: Catcher;
}>;

/** Every mistake. */
export const plantedBugs: readonly PlantedBug[] = [...operatorMistakes, ...storageMistakes];
