import type { EnvironmentVerdict, ResumeReport } from "@trainingrun/checkpoint/contract/resume.ts";
import type { AgentRecord } from "@trainingrun/checkpoint/contract/termination.ts";

/** The kubelet cuts a termination message here, which would make the JSON unreadable. */
export const maxRecordBytes = 4096;

type Trim = (record: AgentRecord) => AgentRecord;

/** What the operator can do without, least missed first; each step is tried on top of those before it. */
const trims: readonly Trim[] = [
  (record) => withResume(record, ({ environment }) => environment && { environment: naming(environment, 3) }),
  (record) => ({ ...record, refused: record.refused.map((one) => ({ ...one, message: shorten(one.message, 160) })) }),
  (record) => (record.kind === "served" && record.best ? { ...record, best: { ...record.best, metrics: [] } } : record),
  (record) => ({ ...record, refused: record.refused.map((one) => ({ ...one, message: shorten(one.message, 40) })) }),
  // That it differs, and in how much, stays; the trainer's log has the names.
  (record) => withResume(record, ({ environment }) => environment && { environment: naming(environment, 0) }),
  (record) => withResume(record, ({ partial }) => partial && { partial: { ...partial, ...noNames } }),
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

const noNames = { missing: [], unexpected: [], reshaped: [] };

function naming(environment: EnvironmentVerdict, count: number): EnvironmentVerdict {
  return { ...environment, differences: environment.differences.slice(0, count) };
}

function withResume(record: AgentRecord, smaller: (report: ResumeReport) => ResumeReport | undefined): AgentRecord {
  if (record.kind !== "served" || record.resume === undefined) return record;
  return { ...record, resume: { ...record.resume, ...smaller(record.resume) } };
}

/** Cuts by code points, so that no half of a character is left behind. */
function shorten(text: string, length: number): string {
  const points = [...text];
  return points.length <= length ? text : `${points.slice(0, length - 1).join("")}…`;
}
