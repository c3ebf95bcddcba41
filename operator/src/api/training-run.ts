import { z } from "zod";
import { apiVersion, kind, maxRunNameLength } from "./names.ts";
import { withRules } from "./rule.ts";
import { TrainingRunSpec } from "./spec.ts";
import { TrainingRunStatus } from "./status.ts";
import { readStatus } from "./stored-status.ts";

const Fields = z.record(z.string(), z.unknown()).catch({});

/** The part of an object's metadata that decisions rest on. */
export const Metadata = z.looseObject({
  name: z.string().min(1),
  namespace: z.string().min(1),
  uid: z.string().min(1),
  resourceVersion: z.string().min(1),
  generation: z.int().min(0).default(1),
  creationTimestamp: z.iso.datetime(),
  deletionTimestamp: z.iso.datetime().optional(),
  finalizers: z.array(z.string()).default([]),
  labels: z.record(z.string(), z.string()).default({}),
  annotations: z.record(z.string(), z.string()).default({}),
});

/** Rules over the whole object: its name becomes part of pod names, host names and a Service's name. */
export const nameRules = [
  {
    cel: `self.metadata.name.size() <= ${maxRunNameLength}`,
    message: `metadata.name must have at most ${maxRunNameLength} characters, because pods and host names are built from it: choose a shorter one`,
    holds: (run: { metadata: { name: string } }) => run.metadata.name.length <= maxRunNameLength,
  },
  {
    cel: "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
    message:
      "metadata.name must begin with a letter and hold only a-z, 0-9 and -, because it names a Service: choose another one",
    holds: (run: { metadata: { name: string } }) => /^[a-z]([-a-z0-9]*[a-z0-9])?$/.test(run.metadata.name),
  },
];

/** What its user writes, and what the server adds. */
const written = {
  apiVersion: z.literal(apiVersion),
  kind: z.literal(kind),
  metadata: Metadata,
  spec: TrainingRunSpec,
};

/** A TrainingRun as stored. */
export const TrainingRun = withRules(
  z.looseObject({ ...written, status: TrainingRunStatus.default({}) }),
  nameRules,
  "A training run that survives losing its pods.",
);
export type TrainingRun = z.infer<typeof TrainingRun>;

/** All of it but the status, which has a reading of its own. */
const WithoutStatus = withRules(z.looseObject(written), nameRules);

/** Either the run, or why the stored object cannot be acted on: it was written under another schema. */
export type ParsedTrainingRun =
  /** `leftOut`: paths of the status that hold what this version does not know. */
  | Readonly<{ kind: "Run"; run: TrainingRun; leftOut: readonly string[] }>
  | Readonly<{ kind: "Unreadable"; message: string }>;

/** Reads a stored object, filling the defaults. Never throws. The spec is read strictly: a promise is kept whole or not made. */
export function parseTrainingRun(raw: unknown): ParsedTrainingRun {
  const { status, ...given } = Fields.parse(raw);
  const stored = readStatus(status);
  const parsed = WithoutStatus.safeParse(given);
  const issues = [
    ...(parsed.error?.issues ?? []).map(({ path, message }) => `${path.join(".") || "object"}: ${message}`),
    ...(stored.kind === "Unreadable" ? stored.issues : []),
  ];
  if (parsed.success && stored.kind === "Read") {
    return { kind: "Run", run: { ...parsed.data, status: stored.status }, leftOut: stored.leftOut };
  }
  return {
    kind: "Unreadable",
    message: `Cannot read the run because its fields break the schema: ${issues.join("; ")}`,
  };
}
