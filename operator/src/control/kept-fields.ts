import type { TrainingRunStatus } from "../api/status.ts";
import { isRecord } from "../kubernetes/merge-patch.ts";
import { expendable } from "./expendable-fields.ts";

/** A status was not written, because fields of it that decide would not have been kept. */
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

/** The fields that decide, which a status has and what is kept of it has not. */
export function lostFields(status: TrainingRunStatus, kept: unknown): readonly string[] {
  return [...new Set(lostBelow("", status, kept))];
}

/** A status without some of its fields, each with all that is below it, in every item of the lists that they are in. */
export function withoutFields(status: unknown, fields: readonly string[]): unknown {
  return fields.length === 0 ? status : withoutBelow("", status, fields);
}

/** Whether a status has a field, in any item of the lists that it is in. */
export function hasField(status: unknown, field: string): boolean {
  return hasPath(status, field.split("."));
}

/** A field by the path that a server has for it: `attempts.queue.group` by `status.attempts[0].queue.group`. */
export function fieldOf(path: string): string {
  return path.replace(/^status\./, "").replaceAll(/\[\d+\]/g, "");
}

/**
 * The fields that the definition lacked lately, whatever run they were sent for. Each is left out of what is written for a
 * minute, and then sent again by one write for all: that the definition was replaced is told by nothing that is watched.
 */
export class DroppedFields {
  readonly #until = new Map<string, number>();
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  note(fields: readonly string[]): void {
    for (const field of fields) this.#until.set(field, this.#now() + sentAgainMs);
  }

  /** Those that a stored status has not: where a server shows one, a definition has it by now. */
  unknownTo(stored: unknown): readonly string[] {
    if (this.#until.size === 0) return [];
    const now = this.#now();
    return [...this.#until].flatMap(([field, until]) => (now < until && !hasField(stored, field) ? [field] : []));
  }
}

const sentAgainMs = 60_000;

function lostBelow(path: string, status: unknown, kept: unknown): readonly string[] {
  if (status === undefined || Object.hasOwn(expendable, path)) return [];
  if (Array.isArray(status)) {
    const items: readonly unknown[] = Array.isArray(kept) ? kept : [];
    return status.flatMap((item, index) => lostBelow(path, item, items[index]));
  }
  if (!isRecord(status)) return kept === undefined ? [path] : [];
  const fields = isRecord(kept) ? kept : {};
  return Object.entries(status).flatMap(([name, value]) => lostBelow(below(path, name), value, fields[name]));
}

function withoutBelow(path: string, value: unknown, fields: readonly string[]): unknown {
  if (Array.isArray(value)) return value.map((item) => withoutBelow(path, item, fields));
  if (!isRecord(value)) return value;
  const kept = Object.entries(value).filter(([name]) => !fields.includes(below(path, name)));
  return Object.fromEntries(kept.map(([name, each]) => [name, withoutBelow(below(path, name), each, fields)]));
}

function hasPath(value: unknown, path: readonly string[]): boolean {
  const [name, ...rest] = path;
  if (name === undefined) return value !== undefined;
  if (Array.isArray(value)) return value.some((item) => hasPath(item, path));
  return isRecord(value) && hasPath(value[name], rest);
}

function below(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}
