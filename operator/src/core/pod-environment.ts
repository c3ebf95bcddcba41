import {
  type BestMetric,
  credentialsDirectory,
  type Expected,
  type Interval,
  type ObjectStoreSettings,
  type RetentionPolicy,
  type VolumeDurability,
} from "@trainingrun/checkpoint/contract/pod-environment.ts";
import type { ResumePolicy } from "@trainingrun/checkpoint/contract/resume.ts";
import { durationSeconds } from "../api/duration.ts";
import { quantityBytes } from "../api/quantity.ts";
import type { AttemptEntry } from "../api/status.ts";
import { defaultGraceSeconds, trainerOf } from "../api/template.ts";
import type { TrainingRun } from "../api/training-run.ts";
import { expectedOf } from "./expected.ts";
import { podName, serviceName } from "./names.ts";
import { workersOf } from "./workers.ts";

/** A variable as a container carries it. */
export type Variable = Readonly<{ name: string; value: string }> | Readonly<{ name: string; valueFrom: unknown }>;

/** Where things lie inside every container that the operator touches. */
export const paths = {
  scratch: "/trainingrun",
  checkpoints: "/trainingrun/checkpoints",
  resume: "/trainingrun/resume",
  control: "/trainingrun/control",
  terminationLog: "/dev/termination-log",
} as const;

const masterPort = "29500";

/** What the trainer is told. */
export function trainerVariables(run: TrainingRun, entry: AttemptEntry, worker: number): Variable[] {
  const { metadata } = run;
  return [
    ...plain({
      TRAININGRUN_NAME: metadata.name,
      TRAININGRUN_NAMESPACE: metadata.namespace,
      TRAININGRUN_UID: metadata.uid,
      TRAININGRUN_ATTEMPT: String(entry.number),
      TRAININGRUN_WORKER: String(worker),
      TRAININGRUN_WORKERS: String(workersOf(entry)),
      TRAININGRUN_CHECKPOINTS: paths.checkpoints,
      TRAININGRUN_VOLUME: durabilityOf(run),
      TRAININGRUN_RESUME: paths.resume,
      TRAININGRUN_CONTROL: paths.control,
      TRAININGRUN_TERMINATION_LOG: paths.terminationLog,
      TRAININGRUN_GRACE_SECONDS: String(graceSecondsOf(run)),
      TRAININGRUN_INTERVAL: JSON.stringify(intervalOf(run)),
      TRAININGRUN_RESUME_POLICY: JSON.stringify(resumePolicyOf(run)),
      ...stallOf(run),
      ...bestOf(run),
      ...imageOf(run),
    }),
    ...(workersOf(entry) > 1 ? plain(rendezvous(run, entry, worker)) : []),
  ];
}

/** What agent and restore are told on top. */
export function agentVariables(run: TrainingRun, entry: AttemptEntry, worker: number): Variable[] {
  return [
    ...trainerVariables(run, entry, worker),
    downward("TRAININGRUN_POD_UID", "metadata.uid"),
    downward("TRAININGRUN_POD_IP", "status.podIP"),
    downward("TRAININGRUN_NODE", "spec.nodeName"),
    ...plain({
      TRAININGRUN_FRAMEWORK: run.spec.checkpoint.framework,
      TRAININGRUN_GENERATION: String(entry.generation),
      TRAININGRUN_RETENTION: JSON.stringify(retentionOf(run)),
      TRAININGRUN_EXPECTED: JSON.stringify(expectedOf(run, entry) satisfies Expected),
    }),
    ...objectStoreVariables(run),
  ];
}

/** Where the run's objects lie and its keys; none without an object store. */
export function objectStoreVariables({ spec }: TrainingRun): Variable[] {
  const { objectStore } = spec.checkpoint;
  if (objectStore === undefined) return [];
  const { endpoint, bucket, prefix = "", region = null } = objectStore;
  const settings: ObjectStoreSettings = { endpoint, bucket, prefix: prefix.replace(/^\/+|\/+$/g, ""), region };
  return plain({
    TRAININGRUN_OBJECT_STORE: JSON.stringify(settings),
    TRAININGRUN_CREDENTIALS: credentialsDirectory,
  });
}

/** Without a volume of its own the pod saves into a directory that goes with it. */
export function durabilityOf({ spec }: TrainingRun): VolumeDurability {
  return spec.checkpoint.volume === undefined ? "Ephemeral" : "Durable";
}

/** The grace period that a pod of the run has. */
export function graceSecondsOf(run: TrainingRun): number {
  return run.spec.template.spec.terminationGracePeriodSeconds ?? defaultGraceSeconds;
}

function intervalOf(run: TrainingRun): Interval {
  const { steps, duration, auto } = run.spec.checkpoint.interval;
  if (steps !== undefined) return { steps };
  if (auto !== undefined) return { auto: { maxSeconds: durationSeconds(auto.maxDuration) } };
  return { seconds: durationSeconds(duration ?? "5m") };
}

function resumePolicyOf({ spec }: TrainingRun): ResumePolicy {
  const { environmentMismatch, partial, replaySteps } = spec.resume;
  return { environmentMismatch, partial, replaySteps };
}

/** As the template names it: what lies in a tag is not known here, so only an image by digest is known to be the same. */
function imageOf({ spec }: TrainingRun): Record<string, string> {
  const image = trainerOf(spec.template)?.image;
  return typeof image === "string" ? { TRAININGRUN_IMAGE: image } : {};
}

/** Only an evaluation that is saved at its step can be ranked: the trainer has to know which is the best so far. */
function bestOf({ spec }: TrainingRun): Record<string, string> {
  const { best } = spec.checkpoint.retention;
  if (best === undefined) return {};
  const { metric, mode } = best;
  return { TRAININGRUN_BEST: JSON.stringify({ metric, mode } satisfies BestMetric) };
}

function stallOf({ spec }: TrainingRun): Record<string, string> {
  return spec.stall === undefined ? {} : { TRAININGRUN_STALL_SECONDS: String(spec.stall.timeoutSeconds) };
}

function retentionOf(run: TrainingRun): RetentionPolicy {
  const { retention, maxBytes } = run.spec.checkpoint;
  return {
    last: retention.last,
    best: retention.best ?? null,
    everySteps: retention.everySteps ?? null,
    maxBytes: maxBytes === undefined ? null : quantityBytes(maxBytes),
  };
}

function rendezvous(run: TrainingRun, entry: AttemptEntry, worker: number): Record<string, string> {
  return {
    MASTER_ADDR: `${podName(run, entry.number, 0)}.${serviceName(run)}`,
    MASTER_PORT: masterPort,
    WORLD_SIZE: String(workersOf(entry)),
    RANK: String(worker),
  };
}

/** Variables of known values. */
export function plain(values: Readonly<Record<string, string>>): Variable[] {
  return Object.entries(values).map(([name, value]) => ({ name, value }));
}

function downward(name: string, fieldPath: string): Variable {
  return { name, valueFrom: { fieldRef: { fieldPath } } };
}
