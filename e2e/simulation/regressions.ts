import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Plan } from "./plan/draw.ts";
import { faultNames } from "./plan/faults.ts";

/** A plan whose play broke a promise once, as small as it could be made. */
export type Regression = Readonly<{
  /** The check of the judge that found it. */
  check: string;
  /** What was wrong, and is mended. */
  mended: string;
  /** A plan and not its seed alone: what a seed draws changes with every kind of fault that is added. */
  plan: Plan;
}>;

/** A plan in a file, as `seed` and `shrink` print it. What a later version adds to plans is kept as it stands. */
export const PlanInFile: z.ZodType<Plan> = z.looseObject({
  seed: z.int(),
  chaosMs: z.number(),
  scenario: z.looseObject({
    nodes: z.int(),
    operators: z.union([z.literal(1), z.literal(2)]),
    noise: z.strictObject({ share: z.number(), longestMs: z.number() }),
    skewsMs: z.record(z.string(), z.number()),
    runs: z.array(
      z.looseObject({
        namespace: z.string(),
        name: z.string(),
        appearsAtMs: z.number(),
        workers: z.int(),
        volume: z.enum(["ReadWriteOnce", "ReadWriteMany", "None"]),
        hasBucket: z.boolean(),
        targetStep: z.int(),
        stepMs: z.number(),
        intervalSteps: z.int(),
        saveMs: z.number(),
        graceSeconds: z.number(),
        program: z.looseObject({
          onStop: z.enum(["Saves", "Ignores", "ExitsZero"]),
          crashesAt: z.array(z.int()),
          poison: z.int().nullable(),
        }),
        failures: z.int(),
        nodeLost: z.union([
          z.strictObject({ policy: z.literal("Wait") }),
          z.strictObject({ policy: z.literal("Fence"), afterSeconds: z.number() }),
        ]),
        deletionPolicy: z.enum(["Retain", "Delete"]),
        keptLast: z.int(),
        noneVerified: z.enum(["Fail", "StartOver"]),
      }),
    ),
  }),
  faults: z.array(
    z.looseObject({
      id: z.string(),
      kind: z.enum(faultNames),
      moment: z.union([
        z.strictObject({ atMs: z.number() }),
        z.strictObject({ run: z.string(), state: z.string(), delayMs: z.number() }),
      ]),
      target: z.string(),
      forMs: z.number(),
      args: z.record(z.string(), z.number()),
    }),
  ),
});

const Regressions = z.array(z.strictObject({ check: z.string(), mended: z.string(), plan: PlanInFile }));

/** The plan in a file. */
export function readPlan(path: string): Plan {
  return PlanInFile.parse(JSON.parse(readFileSync(path, "utf8")));
}

/** Every plan that broke a promise once. */
export function regressions(): readonly Regression[] {
  return Regressions.parse(JSON.parse(readFileSync(join(import.meta.dirname, "regressions.json"), "utf8")));
}
