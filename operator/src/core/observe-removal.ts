import { RemovalRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { z } from "zod";
import { instantOf } from "./instant.ts";
import type { ObservedRemoval } from "./observed.ts";
import { removalContainerName } from "./removal-pod.ts";

const End = z.looseObject({ exitCode: z.int(), reason: z.string().default(""), message: z.string().default("") });
const State = z.looseObject({
  waiting: z.looseObject({ reason: z.string().default(""), message: z.string().default("") }).optional(),
  terminated: End.optional(),
});
const Container = z.looseObject({ name: z.string(), state: State.default({}), lastState: State.default({}) });
type Container = z.infer<typeof Container>;

const Pod = z.looseObject({
  metadata: z.looseObject({
    name: z.string(),
    uid: z.string(),
    creationTimestamp: z.string(),
    deletionTimestamp: z.string().nullish(),
  }),
  spec: z.looseObject({ nodeName: z.string().optional() }).prefault({}),
  status: z
    .looseObject({
      phase: z.string().default("Pending"),
      message: z.string().default(""),
      conditions: z
        .array(z.looseObject({ type: z.string(), status: z.string(), message: z.string().nullish() }))
        .default([]),
      containerStatuses: z.array(Container).default([]),
    })
    .prefault({}),
});

/** Reads the pod that removes a deleted run's objects. Throws on an object that is no pod. */
export function observeRemoval(raw: unknown): ObservedRemoval {
  const { metadata, spec, status } = Pod.parse(raw);
  const container = status.containerStatuses.find(({ name }) => name === removalContainerName);
  const unscheduled = status.conditions.find(({ type, status }) => type === "PodScheduled" && status === "False");
  const waits = status.phase === "Pending" ? (unscheduled?.message ?? "") : "";
  return {
    name: metadata.name,
    uid: metadata.uid,
    createdAt: instantOf(metadata.creationTimestamp),
    deletionRequested: Boolean(metadata.deletionTimestamp),
    // A container that the mesh has put beside ours does not end, so the pod's phase may never say it.
    removed: container?.state.terminated?.exitCode === 0,
    failed: status.phase === "Failed",
    isUnmade: status.phase === "Pending" && spec.nodeName !== undefined,
    ...(wordsOf(container) ?? { reason: "", message: status.message || waits }),
  };
}

/** Why it has not removed everything, by its own record or by the kubelet; null where nothing is wrong yet. */
function wordsOf(container: Container | undefined): Pick<ObservedRemoval, "reason" | "message"> | null {
  const { state, lastState } = container ?? {};
  const end = state?.terminated ?? lastState?.terminated;
  if (end !== undefined && end.exitCode !== 0) {
    const record = recordOf(end.message);
    return record ?? { reason: end.reason, message: end.message || `It ended with exit code ${end.exitCode}.` };
  }
  const { reason = "", message = "" } = state?.waiting ?? {};
  return message === "" ? null : { reason, message };
}

function recordOf(message: string): Pick<ObservedRemoval, "reason" | "message"> | null {
  if (!message.startsWith("{")) return null;
  try {
    const { data } = RemovalRecord.safeParse(JSON.parse(message));
    return data?.kind === "delete-failed" ? { reason: data.reason, message: data.message } : null;
  } catch (error) {
    // Cut off: the words stand as they are.
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
