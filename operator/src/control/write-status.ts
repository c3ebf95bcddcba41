import type { TrainingRunStatus } from "../api/status.ts";
import { isTrue, setCondition } from "../core/conditions.ts";
import { type ApiError, isBeyondOurRights, isRefusal } from "../kubernetes/api-error.ts";
import type { ApiClient, Bound } from "../kubernetes/client.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { mergePatchOf } from "../kubernetes/merge-patch.ts";
import type { Resource } from "../kubernetes/resource.ts";
import { trainingRuns } from "./caches.ts";
import { type DroppedFields, FieldsNotKeptError, lostFields } from "./kept-fields.ts";
import { causeField, reducedStatus, reducibleFields } from "./reduced-status.ts";
import { withStoredEntries } from "./stored-entries.ts";

//   whole ── refused ──► the fields it named, small ── refused ──► all fields, small ── refused ──► Refused
//     │                               │                                │                              ▲
//     ▼                               ▼                                ▼                              │
//   Whole                          Reduced                          Reduced        not kept: taken back
//
// The server drops fields that the resource's definition does not know, and calls that a success. An intent or a count of
// which a part was dropped would be acted on by halves in the next pass, so it is taken back, counts as refused, and a
// condition says so (L3).

/** What became of a status. */
export type StatusWrite = Readonly<{ raw: KubeObject }> &
  (
    | Readonly<{ kind: "Whole" }>
    /** What control rests on stands; of `fields` only the smallest form does. */
    | Readonly<{ kind: "Reduced"; refusal: ApiError; fields: readonly string[] }>
    /** Not even that was taken, or not kept: no number, no count and no intent of the decision is on record. */
    | Readonly<{ kind: "Refused"; refusal: ApiError | FieldsNotKeptError }>
  );

/** Where a status is written to, and who is told of it. */
export type StatusWriter = Readonly<{
  client: Pick<ApiClient, "mergePatch">;
  /** Every answer to a write, so that the next decision waits for it. */
  written: (resource: Resource, object: KubeObject) => void;
  statusWritten: () => void;
  dropped: DroppedFields;
  now: () => number;
}>;

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

type Put =
  | Readonly<{ kind: "Taken"; raw: KubeObject }>
  | Readonly<{ kind: "NotKept"; raw: KubeObject; refusal: FieldsNotKeptError }>
  | Readonly<{ kind: "Refused"; refusal: ApiError }>;

type Putting = Readonly<{ stored: TrainingRunStatus; status: TrainingRunStatus; sent: unknown; raw: KubeObject }>;

async function putStatus({ stored, status, sent, raw }: Putting, writer: StatusWriter, bound: Bound): Promise<Put> {
  if (mergePatchOf(stored, status) === undefined) return { kind: "Taken", raw };
  const known = isDeleted(raw) ? [] : writer.dropped.of(status);
  if (known.length > 0) return await notKept({ stored, before: raw, after: raw, fields: known }, writer, bound);
  const answer = await patchStatus(raw, mergePatchOf(stored, sent), writer, bound);
  if (answer.kind === "Refused") return answer;
  const fields = lostFields(status, answer.raw.status);
  writer.dropped.note(fields);
  if (fields.length > 0) return await notKept({ stored, before: raw, after: answer.raw, fields }, writer, bound);
  writer.statusWritten();
  return answer;
}

type Patched = Extract<Put, { kind: "Taken" | "Refused" }>;

async function patchStatus(
  { metadata: { namespace, name, uid, resourceVersion } }: KubeObject,
  change: unknown,
  { client, written }: StatusWriter,
  bound: Bound,
): Promise<Patched> {
  const target = { resource: trainingRuns, namespace, name, subresource: "status" };
  try {
    const body = { metadata: { uid, resourceVersion }, status: change };
    const answer = await client.mergePatch<KubeObject>(target, body, bound);
    written(trainingRuns, answer);
    return { kind: "Taken", raw: answer };
  } catch (error) {
    if (isRefusal(error)) return { kind: "Refused", refusal: error };
    throw error;
  }
}

type HalfKept = Readonly<{
  stored: TrainingRunStatus;
  before: KubeObject;
  after: KubeObject;
  fields: readonly string[];
}>;

/** Of a deleted run what was kept stays: it is let go in any case, and its waits count from what is on record (L5). */
async function notKept(
  { stored, before, after, fields }: HalfKept,
  writer: StatusWriter,
  bound: Bound,
): Promise<Extract<Put, { kind: "NotKept" }>> {
  const refusal = new FieldsNotKeptError(fields);
  const status = { ...(before.status as object | undefined), ...toldOf(refusal, stored, { raw: before, writer }) };
  const change = isDeleted(before) ? undefined : mergePatchOf(after.status ?? {}, status);
  if (change === undefined) return { kind: "NotKept", raw: after, refusal };
  const back = await patchStatus(after, change, writer, bound);
  return { kind: "NotKept", raw: back.kind === "Taken" ? back.raw : after, refusal };
}

/** A run that is over does not progress for another reason. */
function toldOf(
  { detail }: FieldsNotKeptError,
  { conditions = [] }: TrainingRunStatus,
  { raw: { metadata }, writer }: Readonly<{ raw: KubeObject; writer: StatusWriter }>,
): Pick<TrainingRunStatus, "conditions"> {
  if (isTrue(conditions, "Complete") || isTrue(conditions, "Failed")) return {};
  const statement = { type: "Progressing", status: "Unknown", reason: "StatusNotKept", message: detail } as const;
  return {
    conditions: setCondition(conditions, statement, { now: writer.now(), generation: metadata.generation ?? 0 }),
  };
}

function isDeleted({ metadata }: KubeObject): boolean {
  return metadata.deletionTimestamp !== undefined;
}

/** The fields of the status that the server's refusal names, of those that have a smaller form. */
function namedFields({ fields }: ApiError): readonly string[] {
  // status.attempts[3].cause names `attempts` and `attempts.cause`.
  const paths = fields.map((path) => path.replace(/^status\./, "").replaceAll(/\[\d+\]/g, ""));
  return [...reducibleFields, causeField].filter((field) =>
    paths.some((path) => path === field || path.startsWith(`${field}.`)),
  );
}
