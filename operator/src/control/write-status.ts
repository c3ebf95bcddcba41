import type { TrainingRunStatus } from "../api/status.ts";
import { type ApiError, isBeyondOurRights, isRefusal } from "../kubernetes/api-error.ts";
import type { ApiClient, Bound } from "../kubernetes/client.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { mergePatchOf } from "../kubernetes/merge-patch.ts";
import type { Resource } from "../kubernetes/resource.ts";
import { trainingRuns } from "./caches.ts";
import { causeField, reducedStatus, reducibleFields } from "./reduced-status.ts";
import { withStoredEntries } from "./stored-entries.ts";

//   whole ── refused ──► the fields it named, small ── refused ──► all fields, small ── refused ──► Refused
//     │                               │                                │
//     ▼                               ▼                                ▼
//   Whole                          Reduced                          Reduced

/** What became of a status. */
export type StatusWrite = Readonly<{ raw: KubeObject }> &
  (
    | Readonly<{ kind: "Whole" }>
    /** What control rests on stands; of `fields` only the smallest form does. */
    | Readonly<{ kind: "Reduced"; refusal: ApiError; fields: readonly string[] }>
    /** Not even that was taken: no number, no count and no intent of the decision is on record. */
    | Readonly<{ kind: "Refused"; refusal: ApiError }>
  );

/** Where a status is written to, and who is told of it. */
export type StatusWriter = Readonly<{
  client: ApiClient;
  /** Every answer to a write, so that the next decision waits for it. */
  written: (resource: Resource, object: KubeObject) => void;
  statusWritten: () => void;
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
  const { refusal } = whole;
  // Its words are not what was refused.
  if (isBeyondOurRights(refusal)) return { kind: "Refused", raw, refusal };
  const named = namedFields(refusal);
  for (const fields of [named, [...new Set([...named, ...reducibleFields])]]) {
    if (fields.length === 0) continue;
    const small = await put(reducedStatus(stored, decided, fields));
    if (small.kind === "Taken") return { kind: "Reduced", raw: small.raw, refusal, fields };
  }
  return { kind: "Refused", raw, refusal };
}

/** What was refused and what became of it, for an event. */
export function refusalWords(write: Exclude<StatusWrite, { kind: "Whole" }>): string {
  const what =
    write.kind === "Reduced"
      ? `The run goes on. Not up to date, or without their words, are in status: ${write.fields.join(", ")}.`
      : "Nothing begins for the run until its status can be written.";
  return `${what} The API server refused the status: ${write.refusal.detail}`;
}

type Put = Readonly<{ kind: "Taken"; raw: KubeObject }> | Readonly<{ kind: "Refused"; refusal: ApiError }>;

type Putting = Readonly<{ stored: TrainingRunStatus; status: TrainingRunStatus; sent: unknown; raw: KubeObject }>;

async function putStatus(
  { stored, status, sent, raw }: Putting,
  { client, written, statusWritten }: StatusWriter,
  bound: Bound,
): Promise<Put> {
  if (mergePatchOf(stored, status) === undefined) return { kind: "Taken", raw };
  const change = mergePatchOf(stored, sent);
  const { namespace, name, uid, resourceVersion } = raw.metadata;
  const target = { resource: trainingRuns, namespace, name, subresource: "status" };
  try {
    const body = { metadata: { uid, resourceVersion }, status: change };
    const answer = await client.mergePatch<KubeObject>(target, body, bound);
    written(trainingRuns, answer);
    statusWritten();
    return { kind: "Taken", raw: answer };
  } catch (error) {
    if (isRefusal(error)) return { kind: "Refused", refusal: error };
    throw error;
  }
}

/** The fields of the status that the server's refusal names, of those that have a smaller form. */
function namedFields({ fields }: ApiError): readonly string[] {
  // status.attempts[3].cause names `attempts` and `attempts.cause`.
  const paths = fields.map((path) => path.replace(/^status\./, "").replaceAll(/\[\d+\]/g, ""));
  return [...reducibleFields, causeField].filter((field) =>
    paths.some((path) => path === field || path.startsWith(`${field}.`)),
  );
}
