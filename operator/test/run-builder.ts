import { type ParsedTrainingRun, parseTrainingRun, type TrainingRun } from "../src/api/training-run.ts";

/** Any JSON object a test writes down. */
export type Fields = Record<string, unknown>;

export const runUid = "0123abcd-0000-4000-8000-000000000000";
export const start = Date.parse("2026-01-01T00:00:00Z");

/** A spec as a user writes it, small but whole. */
export function specWith(fields: Fields = {}): Fields {
  return {
    template: templateOf("example.com/mnist"),
    checkpoint: {
      volume: { claimTemplate: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } } },
    },
    ...fields,
  };
}

/** A run as a user applies it, with all that an operator needs to begin an attempt. */
export function appliedRun(name: string): Fields {
  const checkpoint = { ...(specWith().checkpoint as Fields), interval: { steps: 100 } };
  const spec = specWith({ checkpoint });
  return { apiVersion: "trainingrun.dev/v1alpha1", kind: "TrainingRun", metadata: { name }, spec };
}

/** A template that trains with an image. */
export function templateOf(image: string): Fields {
  return { spec: { containers: [{ name: "trainer", image }] } };
}

/** A stored object, as the API server would give it. */
export function storedRun(fields: { metadata?: Fields; spec?: Fields; status?: Fields } = {}): Fields {
  return {
    apiVersion: "trainingrun.dev/v1alpha1",
    kind: "TrainingRun",
    metadata: {
      name: "mnist",
      namespace: "team",
      uid: runUid,
      resourceVersion: "1",
      generation: 1,
      creationTimestamp: new Date(start).toISOString(),
      ...fields.metadata,
    },
    spec: specWith(fields.spec),
    ...(fields.status ? { status: fields.status } : {}),
  };
}

/** A run as the operator reads it. */
export function runWith(fields: Parameters<typeof storedRun>[0] = {}): TrainingRun {
  return runOf(parseTrainingRun(storedRun(fields)));
}

/** The run of a parse that must have worked. */
export function runOf(parsed: ParsedTrainingRun): TrainingRun {
  if (parsed.kind !== "Run") throw new Error(parsed.message);
  return parsed.run;
}
