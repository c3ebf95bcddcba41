import type { AgentRecord } from "@trainingrun/checkpoint/contract/termination.ts";

/** The kubelet cuts a termination message here, which would make the JSON unreadable. */
export const maxRecordBytes = 4096;

type Trim = (record: AgentRecord) => AgentRecord;

/** What the operator can do without, least missed first; each step is tried on top of those before it. */
const trims: readonly Trim[] = [
  (record) => ({ ...record, refused: record.refused.map((one) => ({ ...one, message: shorten(one.message, 160) })) }),
  (record) => (record.kind === "served" && record.best ? { ...record, best: { ...record.best, metrics: [] } } : record),
  (record) => ({ ...record, refused: record.refused.map((one) => ({ ...one, message: shorten(one.message, 40) })) }),
  (record) => ({ ...record, refused: record.refused.slice(0, 1) }),
  (record) =>
    record.kind === "served" && record.latestVerified
      ? { ...record, latestVerified: { ...record.latestVerified, metrics: [] } }
      : record,
  (record) => ({ ...record, refused: [] }),
  (record) => (record.kind === "restore-failed" ? { ...record, message: shorten(record.message, 512) } : record),
];

/** The record as one line of JSON of at most {@link maxRecordBytes}; what does not fit is left out field by field. */
export function fitRecord(record: AgentRecord): string {
  let fitted = record;
  let text = JSON.stringify(fitted);
  for (const trim of trims) {
    if (Buffer.byteLength(text) <= maxRecordBytes) break;
    fitted = trim(fitted);
    text = JSON.stringify(fitted);
  }
  return text;
}

/** Cuts by code points, so that no half of a character is left behind. */
function shorten(text: string, length: number): string {
  const points = [...text];
  return points.length <= length ? text : `${points.slice(0, length - 1).join("")}…`;
}
