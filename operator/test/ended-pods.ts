import type { Member } from "../src/core/cause.ts";
import type { ObservedNode } from "../src/core/observed.ts";
import { at, ended, podWith } from "./pod-builder.ts";
import type { Fields } from "./run-builder.ts";

/** A record in the termination message it is left in. */
export const text = (record: unknown) => ({ message: JSON.stringify(record) });

export const digest = `sha256:${"a".repeat(64)}`;

/** The records that trainer and agent of attempt 1 leave. */
export const done = text({ kind: "done", attempt: 1, step: 100, checkpoint: digest, metrics: [] });
export const preempted = text({
  kind: "preempted",
  attempt: 1,
  step: 7,
  finalCheckpoint: "Saved",
  checkpoint: digest,
  graceUsedSeconds: 1,
});
export const failed = (failure: string, problem?: string) =>
  text({ kind: "restore-failed", attempt: 1, failure, problem, message: `words of ${failure}`, refused: [] });
export const served = (verdict: string | null) =>
  text({
    kind: "served",
    attempt: 1,
    latestVerified: null,
    best: null,
    done: verdict,
    refused: [],
    verificationFailures: 0,
  });

export const disruption = (reason: string) => [
  { type: "DisruptionTarget", status: "True", reason, message: "said so" },
];

/** The status of a pod whose containers have ended. */
export function dead(trainer: Fields, agent: Fields = ended("agent", 0), rest: Fields = {}): Fields {
  return { phase: "Failed", containerStatuses: [trainer], initContainerStatuses: [agent], ...rest };
}

export const deleted = { deletionTimestamp: at(130), deletionGracePeriodSeconds: 30 };
/** Deleted, by the API server's clock, a minute after the trainer ended by the node's. */
export const skewed = { deletionTimestamp: at(190), deletionGracePeriodSeconds: 30 };

/** The node of the tests' pods. */
export function nodeWith(fields: Partial<ObservedNode> = {}): ObservedNode {
  return { name: "node-a", presence: "Present", ready: "True", readySince: null, outOfService: false, ...fields };
}

export const absent = nodeWith({ presence: "Absent", ready: "Unknown" });

/** A pod of an ended attempt, as the classifier looks at it. */
export function member(status: Fields, metadata: Fields = {}, node?: ObservedNode): Member {
  return { kind: "Pod", pod: podWith({ status, metadata }), node, report: undefined };
}
