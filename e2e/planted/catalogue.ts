import { operatorMistakes } from "./operator-mistakes.ts";
import { storageMistakes } from "./storage-mistakes.ts";
import { waitingMistakes } from "./waiting-mistakes.ts";

/** A test of the tree, or several, by its file and a part of its title. */
export type NamedTest = Readonly<{ file: string; title: string }>;

/** A mistake that somebody could make, as a patch against the present code. */
export type PlantedBug = Readonly<{
  /** File below `patches/`. */
  patch: string;
  mistake: string;
  /** Who has to notice it, whatever the simulation does. */
  test: NamedTest;
}>;

/** Every mistake. */
export const plantedBugs: readonly PlantedBug[] = [...operatorMistakes, ...storageMistakes, ...waitingMistakes];
