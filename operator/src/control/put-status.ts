import type { TrainingRunStatus } from "../api/status.ts";
import { isTrue, setCondition } from "../core/conditions.ts";
import { type ApiError, isRefusal } from "../kubernetes/api-error.ts";
import type { ApiClient, Bound } from "../kubernetes/client.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { mergePatchOf } from "../kubernetes/merge-patch.ts";
import type { Resource } from "../kubernetes/resource.ts";
import { trainingRuns } from "./caches.ts";
import { type DroppedFields, FieldsNotKeptError, fieldOf, hasField, lostFields, withoutFields } from "./kept-fields.ts";

//            ┌── names unknown fields, and none of them decides: without them ──┐
//            ▼                                                                  │
//   strict patch ── refused ────────────────────────────────────────────────────┴─► one decides: NotKept; no field: Refused
//     │      ▲
//     │      └── what stood on record is gone: with that
//     ▼
//   Taken
//
// A server leaves out what the resource's definition lacks, and calls that a success; a half of an intent or of a count
// would be acted on in the next pass. A strict patch is refused whole instead, and nothing of it is stored. That covers what
// is sent. What stands on record goes with any write through a server whose definition is older than the one that wrote it:
// the answer shows that, and a second patch brings it back, or is refused in turn.

/** What became of one status: `NotKept` where the definition lacks a field that decides, so that it was not stored. */
export type Put =
  | Readonly<{ kind: "Taken"; raw: KubeObject }>
  | Readonly<{ kind: "NotKept"; raw: KubeObject; refusal: FieldsNotKeptError }>
  | Readonly<{ kind: "Refused"; refusal: ApiError }>;

/** A status to write, and as what it is sent: entries of the ledger may stand there as another version wrote them. */
export type Putting = Readonly<{
  stored: TrainingRunStatus;
  status: TrainingRunStatus;
  sent: unknown;
  raw: KubeObject;
}>;

/** Where a status is written to, and who is told of it. */
export type StatusWriter = Readonly<{
  client: Pick<ApiClient, "strictMergePatch">;
  /** Every answer to a write, so that the next decision waits for it. */
  written: (resource: Resource, object: KubeObject) => void;
  statusWritten: () => void;
  dropped: DroppedFields;
  now: () => number;
}>;

/** Writes a status by compare-and-swap, only where it changed. */
export async function putStatus(putting: Putting, writer: StatusWriter, bound: Bound): Promise<Put> {
  const { stored, status, raw } = putting;
  if (mergePatchOf(stored, status) === undefined) return { kind: "Taken", raw };
  return await putAs({ ...putting, read: stored, triesLeft: mostTries }, writer, bound);
}

/** Each answer may name fields that the last one did not: for a moment, the servers of a cluster may differ. */
const mostTries = 4;

type Try = Putting & Readonly<{ read: unknown; triesLeft: number }>;

async function putAs(put: Try, writer: StatusWriter, bound: Bound): Promise<Put> {
  const { status, raw, triesLeft } = put;
  const sent = withoutFields(put.sent, writer.dropped.unknownTo(raw.status));
  const lost = lostFields(status, sent);
  // Of a deleted run what can be kept is: it is let go in any case, and its waits count from what is on record (L5).
  if (lost.length > 0 && !isDeleted(raw)) return await told(put, lost, { writer, bound });
  const change = mergePatchOf(put.read, sent);
  if (change === undefined) return lost.length === 0 ? { kind: "Taken", raw } : notKept(raw, lost);
  const answer = await patchStatus(raw, change, writer, bound);
  if (answer.kind === "Refused") {
    const unknown = answer.refusal.unknownFields.map(fieldOf);
    const rest = withoutFields(sent, unknown);
    if (mergePatchOf(sent, rest) === undefined || triesLeft === 1) return answer;
    writer.dropped.note(unknown);
    return await putAs({ ...put, sent: rest, triesLeft: triesLeft - 1 }, writer, bound);
  }
  const gone = lostFields(status, answer.raw.status);
  if (gone.length === 0) {
    writer.statusWritten();
    return answer;
  }
  if (isDeleted(raw) || triesLeft === 1) return notKept(answer.raw, gone);
  const read = answer.raw.status ?? {};
  return await putAs({ ...put, raw: answer.raw, read, triesLeft: triesLeft - 1 }, writer, bound);
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
    const answer = await client.strictMergePatch<KubeObject>(target, body, bound);
    written(trainingRuns, answer);
    return { kind: "Taken", raw: answer };
  } catch (error) {
    if (isRefusal(error)) return { kind: "Refused", refusal: error };
    throw error;
  }
}

type NotKept = Extract<Put, { kind: "NotKept" }>;

function notKept(raw: KubeObject, fields: readonly string[]): NotKept {
  return { kind: "NotKept", raw, refusal: new FieldsNotKeptError(fields) };
}

/** Says in a condition what is not kept. Where a field of it stands on record, the same server would take that away. */
async function told(
  { stored, raw }: Putting,
  fields: readonly string[],
  { writer, bound }: Readonly<{ writer: StatusWriter; bound: Bound }>,
): Promise<NotKept> {
  const outcome = notKept(raw, fields);
  if (fields.some((field) => hasField(raw.status, field))) return outcome;
  const change = mergePatchOf(stored, { ...stored, ...toldOf(outcome.refusal, stored, { raw, writer }) });
  if (change === undefined) return outcome;
  const answer = await patchStatus(raw, change, writer, bound);
  return answer.kind === "Taken" ? { ...outcome, raw: answer.raw } : outcome;
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
