import type { TrainingRunStatus } from "../api/status.ts";
import { type ApiError, isBeyondOurRights } from "../kubernetes/api-error.ts";
import type { Bound } from "../kubernetes/client.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { FieldsNotKeptError, fieldOf } from "./kept-fields.ts";
import { putStatus, type StatusWriter } from "./put-status.ts";
import { causeField, reducedStatus, reducibleFields } from "./reduced-status.ts";
import { withStoredEntries } from "./stored-entries.ts";

//   whole ── refused ──► the fields it named, small ── refused ──► all fields, small ── refused ──► Refused
//     │                               │                                │                              ▲
//     ▼                               ▼                                ▼                              │
//   Whole                          Reduced                          Reduced        a field that decides is not kept

/** What became of a status. */
export type StatusWrite = Readonly<{ raw: KubeObject }> &
  (
    | Readonly<{ kind: "Whole" }>
    /** What control rests on stands; of `fields` only the smallest form does. */
    | Readonly<{ kind: "Reduced"; refusal: ApiError; fields: readonly string[] }>
    /** Not even that was taken, or a field would not be kept: no number, count or intent of the decision is on record. */
    | Readonly<{ kind: "Refused"; refusal: ApiError | FieldsNotKeptError }>
  );

/**
 * Writes the status by compare-and-swap, only where it changed. One that the API server will not have, such as for
 * a word that breaks its schema, is written in a smaller form, so that one bad word does not stop the run.
 */
export async function writeStatus(
  seen: Readonly<{ stored: TrainingRunStatus; decided: TrainingRunStatus; raw: KubeObject }>,
  writer: StatusWriter,
  bound: Bound,
): Promise<StatusWrite> {
  const { stored, decided, raw } = seen;
  const put = (status: TrainingRunStatus, sent: unknown = status) =>
    putStatus({ stored, status, sent, raw }, writer, bound);
  const whole = await put(decided, withStoredEntries(decided, { read: stored, stored: raw.status }));
  if (whole.kind === "Taken") return { kind: "Whole", raw: whole.raw };
  if (whole.kind === "NotKept") return { ...whole, kind: "Refused" };
  const { refusal } = whole;
  // Its words are not what was refused.
  if (isBeyondOurRights(refusal)) return { kind: "Refused", raw, refusal };
  const named = namedFields(refusal);
  for (const fields of [named, [...new Set([...named, ...reducibleFields])]]) {
    if (fields.length === 0) continue;
    const small = await put(reducedStatus(stored, decided, fields));
    if (small.kind === "Taken") return { kind: "Reduced", raw: small.raw, refusal, fields };
    if (small.kind === "NotKept") return { ...small, kind: "Refused" };
  }
  return { kind: "Refused", raw, refusal };
}

/** What was refused and what became of it, for an event. */
export function refusalWords(write: Exclude<StatusWrite, { kind: "Whole" }>): string {
  const what =
    write.kind === "Reduced"
      ? `The run goes on. Not up to date, or without their words, are in status: ${write.fields.join(", ")}.`
      : "Nothing begins for the run until its status can be written.";
  const { refusal } = write;
  const why = refusal instanceof FieldsNotKeptError ? "" : "The API server refused the status: ";
  return `${what} ${why}${refusal.detail}`;
}

/** The fields of the status that the server's refusal names, of those that have a smaller form. */
function namedFields({ fields }: ApiError): readonly string[] {
  // status.attempts[3].cause names `attempts` and `attempts.cause`.
  const paths = fields.map(fieldOf);
  return [...reducibleFields, causeField].filter((field) =>
    paths.some((path) => path === field || path.startsWith(`${field}.`)),
  );
}
