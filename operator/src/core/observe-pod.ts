import { AgentRecord, TrainerRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { z } from "zod";
import { labels } from "../api/names.ts";
import { agentName, defaultGraceSeconds, restoreName, trainerName } from "../api/template.ts";
import type { TrainingRun } from "../api/training-run.ts";
import { instantOf, instantOrNull } from "./instant.ts";
import { podLabels } from "./names.ts";
import type { ContainerEnd, ObservedContainer, ObservedPod } from "./observed.ts";

const Terminated = z.looseObject({
  exitCode: z.int(),
  signal: z.int().optional(),
  reason: z.string().default(""),
  message: z.string().default(""),
  startedAt: z.string().nullish(),
  finishedAt: z.string().nullish(),
});

const State = z.looseObject({
  waiting: z.looseObject({ reason: z.string().default(""), message: z.string().default("") }).optional(),
  running: z.looseObject({ startedAt: z.string().nullish() }).optional(),
  terminated: Terminated.optional(),
});
type State = z.infer<typeof State>;

const Status = z.looseObject({
  name: z.string(),
  state: State.default({}),
  lastState: State.default({}),
  restartCount: z.int().default(0),
});
type Status = z.infer<typeof Status>;

const Named = z.looseObject({ name: z.string() });

const Container = Named.extend({ env: z.array(z.looseObject({ name: z.string().optional() })).default([]) });

const Pod = z.looseObject({
  metadata: z.looseObject({
    name: z.string(),
    uid: z.string(),
    resourceVersion: z.string(),
    creationTimestamp: z.string(),
    deletionTimestamp: z.string().nullish(),
    deletionGracePeriodSeconds: z.int().nullish(),
    finalizers: z.array(z.string()).default([]),
    labels: z.record(z.string(), z.string()).default({}),
    ownerReferences: z.array(z.looseObject({ uid: z.string(), controller: z.boolean().default(false) })).default([]),
  }),
  spec: z.looseObject({
    nodeName: z.string().optional(),
    schedulingGates: z.array(Named).default([]),
    terminationGracePeriodSeconds: z.int().nullish(),
    containers: z.array(Container).default([]),
    initContainers: z.array(Named).default([]),
  }),
  status: z
    .looseObject({
      phase: z.enum(["Pending", "Running", "Succeeded", "Failed", "Unknown"]).default("Pending"),
      reason: z.string().default(""),
      message: z.string().default(""),
      podIP: z.string().optional(),
      startTime: z.string().nullish(),
      conditions: z
        .array(
          z.looseObject({
            type: z.string(),
            status: z.string(),
            reason: z.string().nullish(),
            message: z.string().nullish(),
            lastTransitionTime: z.string().nullish(),
          }),
        )
        .default([]),
      containerStatuses: z.array(Status).default([]),
      initContainerStatuses: z.array(Status).default([]),
    })
    .prefault({}),
});
type Pod = z.infer<typeof Pod>;

/** Reads a pod as the API server gives it; null for one that the operator cannot have made. */
export function observePod(raw: unknown): ObservedPod | null {
  const read = readOnce(raw);
  if (read === null) return null;
  const attempt = Number(read.carried[labels.attempt]);
  const worker = Number(read.carried[labels.worker]);
  if (!Number.isInteger(attempt) || attempt < 1 || !Number.isInteger(worker) || worker < 0) return null;
  return { ...read.pod, attempt, worker, altered: [] };
}

/** The word of {@link ObservedPod.altered} for a pod that nobody owns. */
export const ownerReferenceWord = "ownerReferences";

/** Which of the attempt's pods a recorded one is, by its place in the ledger. */
export type RecordedPlace = Readonly<{ attempt: number; worker: number }>;

/**
 * Reads a pod whose uid is on record. It is that pod whatever is written on it: labels and owner may be anybody's doing,
 * and what of them differs from what the operator wrote is told. Null where it cannot be read at all.
 */
export function observeRecorded(raw: unknown, run: TrainingRun, place: RecordedPlace): ObservedPod | null {
  const read = readOnce(raw);
  if (read === null) return null;
  const { pod, carried, owners } = read;
  const altered = Object.entries(podLabels(run, place)).flatMap(([name, value]) =>
    carried[name] === value ? [] : [name],
  );
  const isOurs = owners.some(({ uid, controller }) => controller && uid === run.metadata.uid);
  return { ...pod, ...place, altered: isOurs ? altered : [...altered, ownerReferenceWord] };
}

/** A pod as it is, whoever's it may be, and by what that is told. */
type Read = Readonly<{
  pod: Omit<ObservedPod, keyof RecordedPlace | "altered">;
  carried: Readonly<Record<string, string>>;
  owners: Pod["metadata"]["ownerReferences"];
}>;

const readings = new WeakMap<object, Read | null>();

/** Objects of the copy are replaced, never changed: each is read once, however many passes look at it. */
function readOnce(raw: unknown): Read | null {
  if (typeof raw !== "object" || raw === null) return null;
  const known = readings.get(raw);
  if (known !== undefined) return known;
  const parsed = Pod.safeParse(raw);
  const found = parsed.success ? readPod(parsed.data) : null;
  readings.set(raw, found);
  return found;
}

function readPod(pod: Pod): Read | null {
  const { metadata, spec, status } = pod;
  const containers = readContainers(pod);
  if (containers === null) return null;
  const observed = {
    name: metadata.name,
    uid: metadata.uid,
    resourceVersion: metadata.resourceVersion,
    ownerUid: metadata.ownerReferences.find((owner) => owner.controller)?.uid ?? null,
    createdAt: instantOf(metadata.creationTimestamp),
    startedAt: instantOrNull(status.startTime),
    deletionRequestedAt: deletionRequest(metadata),
    removedByForce: Boolean(metadata.deletionTimestamp) && metadata.deletionGracePeriodSeconds === 0,
    finalizers: metadata.finalizers,
    node: spec.nodeName ?? null,
    gates: spec.schedulingGates.map(({ name }) => name),
    queue: metadata.labels[labels.queue] ?? null,
    queueGroup: metadata.labels[labels.queueGroup] ?? null,
    ip: status.podIP ?? null,
    phase: status.phase,
    reason: status.reason,
    message: status.message,
    conditions: status.conditions.map((condition) => ({
      type: condition.type,
      status: condition.status,
      reason: condition.reason ?? "",
      message: condition.message ?? "",
      since: instantOrNull(condition.lastTransitionTime),
    })),
    graceSeconds: spec.terminationGracePeriodSeconds ?? defaultGraceSeconds,
    ...containers,
    problem: "",
  };
  return { pod: observed, carried: metadata.labels, owners: metadata.ownerReferences };
}

type Containers = Pick<ObservedPod, "trainer" | "agent" | "restore" | "others">;

function readContainers({ spec, status }: Pod): Containers | null {
  const statuses = new Map(
    [...status.initContainerStatuses, ...status.containerStatuses].map((each) => [each.name, each]),
  );
  const regular = spec.containers.map(({ name }) => name);
  const trainer = regular.length === 1 ? regular[0] : (regular.find((name) => name === trainerName) ?? told(spec));
  if (trainer === undefined) return null;
  const init = spec.initContainers.map(({ name }) => name);
  return {
    trainer: readContainer(trainer, statuses.get(trainer), TrainerRecord),
    agent: readContainer(agentName, statuses.get(agentName), AgentRecord),
    restore: init.includes(restoreName) ? readContainer(restoreName, statuses.get(restoreName), AgentRecord) : null,
    others: [...init, ...regular]
      .filter((name) => name !== trainer && name !== agentName && name !== restoreName)
      .map((name) => ({
        ...readContainer(name, statuses.get(name), z.never()),
        role: init.includes(name) ? "Init" : "Regular",
      })),
  };
}

/** The container that the contract's variables were given to: admission may have put another one beside the only one. */
function told({ containers }: Pod["spec"]): string | undefined {
  return containers.find(({ env }) => env.some(({ name }) => name === "TRAININGRUN_ATTEMPT"))?.name;
}

function readContainer<R>(name: string, status: Status | undefined, schema: z.ZodType<R>): ObservedContainer<R> {
  const state = readState(status?.state);
  const previousEnd = readEnd(status?.lastState);
  const startedAt = previousEnd?.startedAt ?? (state.kind === "Waiting" ? null : state.startedAt);
  // A container that waits to be started again has no other state than its end; one that was started again has.
  const waits = state.kind === "Waiting";
  const end = waits ? previousEnd : state.kind === "Terminated" ? state : null;
  return {
    name,
    state,
    previousEnd,
    restarts: status?.restartCount ?? 0,
    startedAt,
    record: readRecord(end?.message, schema),
    earlierRecord: waits ? null : readRecord(previousEnd?.message, schema),
  };
}

function readState(state: State | undefined): ObservedContainer<never>["state"] {
  const end = readEnd(state);
  if (end) return end;
  if (state?.running) return { kind: "Running", startedAt: instantOrNull(state.running.startedAt) };
  return { kind: "Waiting", reason: state?.waiting?.reason ?? "", message: state?.waiting?.message ?? "" };
}

function readEnd(state: State | undefined): ContainerEnd | null {
  const end = state?.terminated;
  if (!end) return null;
  return {
    kind: "Terminated",
    exitCode: end.exitCode,
    signal: end.signal ?? null,
    reason: end.reason,
    message: end.message,
    startedAt: instantOrNull(end.startedAt),
    finishedAt: instantOrNull(end.finishedAt),
  };
}

/** A termination message is a record only if it parses as one: the kubelet may have put log lines there. */
function readRecord<R>(message: string | undefined, schema: z.ZodType<R>): R | null {
  if (!message?.startsWith("{")) return null;
  try {
    const parsed = schema.safeParse(JSON.parse(message));
    return parsed.success ? parsed.data : null;
  } catch (error) {
    // Cut off or not JSON at all: there is no record, which the classifier has rows for.
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

function deletionRequest(metadata: Pod["metadata"]): number | null {
  const due = instantOrNull(metadata.deletionTimestamp);
  return due === null ? null : due - (metadata.deletionGracePeriodSeconds ?? 0) * 1000;
}
