import type { ActRow } from "./act-row.ts";
import type { Scene } from "./scene.ts";

const isThere = (scene: Scene) => scene.container("trainer")?.process?.state ?? "gone";

/** Acts on a trainer that goes on, or does not. */
export const trainerRows: readonly ActRow[] = [
  {
    kind: "TrainerHangs",
    does: "has the trainer stand still for good, once it has done two steps",
    look: isThere,
    before: "running",
    afterMs: 5_000,
    during: "paused",
    lift: { forMs: 120_000, after: "paused" },
  },
  {
    kind: "TrainerHangs",
    does: "waits where the trainer has begun its last step",
    beginning: { targetStep: 2, stepMs: 20_000 },
    look: isThere,
    before: "running",
    afterMs: 15_000,
    during: "running",
  },
  {
    kind: "TrainerHeldUp",
    does: "has the trainer stand still for a while",
    args: { forMs: 5_000 },
    look: isThere,
    before: "running",
    during: "paused",
    lift: { forMs: 5_000, settleMs: 100, after: "running" },
  },
];
