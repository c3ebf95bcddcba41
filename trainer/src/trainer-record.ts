import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import type { TrainerRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import type { Place } from "./place.ts";
import { replaceFile } from "./replace-file.ts";

/** The kubelet shares 12 KiB among the containers of a pod; ours keep to this. */
const maxRecordBytes = 1024;
/** A reader takes no longer message, and of a record with a longer one nothing. */
const maxMessageLength = 700;

/**
 * Leaves the trainer's last word where others find it: in the termination log for the kubelet, and in the control
 * directory for the agent. At hand there is neither, and the record is printed alone.
 */
export function leaveRecord(place: Place, record: TrainerRecord): void {
  const line = recordLine(record);
  if (place.kind === "local") return;
  if (record.kind !== "incompatible") {
    const path = join(place.control, controlFiles[record.kind]);
    orSay(path, () => replaceFile(path, `${line}\n`));
  }
  // The kubelet bind-mounts this one file: it cannot be renamed over, and it is read only after the process has ended.
  orSay(place.terminationLog, () => appendFileSync(place.terminationLog, line, { flag: "w" }));
}

/** Where one of the two places fails, the other still hears it, and the exit code is what it would have been. */
function orSay(path: string, write: () => void): void {
  try {
    write();
  } catch (error) {
    console.error(`Cannot leave the trainer's record in ${path}:`, error);
  }
}

/** The record on one line of at most 1 KiB. Metrics that do not fit are left out, last names first; a message is cut. */
export function recordLine(record: TrainerRecord): string {
  if (record.kind === "incompatible" && record.message.length > maxMessageLength) {
    return recordLine({ ...record, message: `${record.message.slice(0, maxMessageLength - 3)}...` });
  }
  const line = JSON.stringify(record);
  if (Buffer.byteLength(line) <= maxRecordBytes) return line;
  if (record.kind === "done" && record.metrics.length > 0) {
    return recordLine({ ...record, metrics: record.metrics.slice(0, -1) });
  }
  if (record.kind === "incompatible" && record.message.length > 0) {
    return recordLine({
      ...record,
      message: `${record.message.slice(0, Math.floor(record.message.length * 0.9) - 3)}...`,
    });
  }
  throw new RangeError(`Cannot write the ${record.kind} record because it may have ${maxRecordBytes} bytes: ${line}`);
}
