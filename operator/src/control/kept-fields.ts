import type { TrainingRunStatus } from "../api/status.ts";

/**
 * Fields of the status that a definition of another version may drop without harm: they only show, they are learned anew,
 * or the operator does without them what an older version did. Every other one is an intent, a count or a time that a
 * later pass rests on.
 */
export const expendableFields: readonly string[] = [
  "observedGeneration",
  "state",
  "progress",
  "interval",
  "graceNeededSeconds",
  "latestVerified",
  "best",
  "checkpoints",
  "refused",
  "suspects",
  "totals",
  "stop.reason",
  "stop.message",
  "stop.exitCode",
  "attempts.podHash",
  "attempts.podCount",
  "attempts.queue.name",
  "attempts.queue.priorityClass",
  "attempts.reason",
  "attempts.message",
  "attempts.exitCode",
  "attempts.lastStepSlack",
  "attempts.finalCheckpoint",
  "attempts.graceUsedSeconds",
  "attempts.graceSeconds",
  "attempts.recoverySeconds",
  "attempts.environment",
  "attempts.partial",
  "attempts.replay",
  "attempts.dump",
  "attempts.fences",
  "conditions.reason",
  "conditions.message",
  "conditions.lastTransitionTime",
  "conditions.observedGeneration",
];

/** A status was taken, and fields of it that decide were not kept. */
export class FieldsNotKeptError extends Error {
  override readonly name = "FieldsNotKeptError";
  readonly detail: string;

  constructor(fields: readonly string[]) {
    const names = fields.map((field) => `status.${field}`).join(", ");
    const detail = `Cannot keep ${names} because the CustomResourceDefinition that the API server serves does not have it: apply the crds/ of this version of the operator.`;
    super(detail);
    this.detail = detail;
  }
}

/**
 * The fields that a status has and the server's answer to it has not. A server drops what the resource's definition does not
 * know, and says nothing of it.
 */
export function lostFields(sent: TrainingRunStatus, kept: unknown): readonly string[] {
  return [...new Set(lostBelow("", sent, kept))];
}

/**
 * What the server has dropped lately, of whatever run. Each is tried again once a minute, by one write for all runs that have
 * it: that the definition was replaced is told by nothing that is watched.
 */
export class DroppedFields {
  readonly #until = new Map<string, number>();
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  note(fields: readonly string[]): void {
    for (const field of fields) this.#until.set(field, this.#now() + triedAgainMs);
  }

  /** Those that a status has. */
  of(status: TrainingRunStatus): readonly string[] {
    if (this.#until.size === 0) return [];
    const now = this.#now();
    return lostFields(status, {}).filter((field) => now < (this.#until.get(field) ?? 0));
  }
}

const triedAgainMs = 60_000;

function lostBelow(path: string, sent: unknown, kept: unknown): readonly string[] {
  if (sent === undefined || expendableFields.includes(path)) return [];
  if (Array.isArray(sent)) {
    const items: readonly unknown[] = Array.isArray(kept) ? kept : [];
    return sent.flatMap((item, index) => lostBelow(path, item, items[index]));
  }
  if (!isRecord(sent)) return kept === undefined ? [path] : [];
  const fields = isRecord(kept) ? kept : {};
  return Object.entries(sent).flatMap(([name, value]) =>
    lostBelow(path === "" ? name : `${path}.${name}`, value, fields[name]),
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
