import type { RunScenario } from "./scenario.ts";

/** A run to which nothing happens, on a volume of its own. */
export const plainRun: RunScenario = {
  namespace: "team-a",
  name: "run-0",
  appearsAtMs: 0,
  workers: 1,
  volume: "ReadWriteOnce",
  hasBucket: false,
  targetStep: 25,
  stepMs: 1_000,
  intervalSteps: 5,
  saveMs: 200,
  graceSeconds: 30,
  program: { onStop: "Saves", crashesAt: [], poison: null },
  failures: 3,
  nodeLost: { policy: "Wait" },
  deletionPolicy: "Retain",
  keptLast: 2,
  noneVerified: "Fail",
};
