import type { FaultName } from "../../../plan/faults.ts";
import type { Beginning, Scene } from "./scene.ts";

/** What one act does, as it can be seen from outside: before it, while it stands, and once it is taken back. */
export type ActRow = Readonly<{
  kind: FaultName;
  does: string;
  beginning?: Beginning;
  /** Where it is not the run. */
  target?: (scene: Scene) => string;
  args?: Readonly<Record<string, number>>;
  /** What is there before it begins. */
  first?: (scene: Scene) => void;
  /** What happens as soon as it stands, for it to meet something. */
  next?: (scene: Scene) => void;
  look: (scene: Scene) => unknown;
  before: unknown;
  /** Looked at so long after it began. */
  afterMs?: number;
  during: unknown;
  /** Of an act that is taken back, or over by itself: after how long, and when it is looked at after that. */
  lift?: Readonly<{ forMs?: number; settleMs?: number; after: unknown }>;
}>;
