import type { AnnouncedOpen } from "./store.ts";

const recordPattern = /^(\d{12})\.json$/;
const announcementPattern = /^(\d{12})\.open-a(\d{4,9})$/;

/** The name of a record in `log/`, on a volume and in an object store alike. */
export function recordName(number: number): string {
  return `${padded(number)}.json`;
}

/** The record's number, or null where the name is not a record's. */
export function parseRecordName(name: string): number | null {
  const number = recordPattern.exec(name)?.[1];
  return number === undefined ? null : Number(number);
}

/** The name beside the records that announces an `open`. */
export function announcementName({ number, attempt }: AnnouncedOpen): string {
  return `${padded(number)}.open-a${String(attempt).padStart(4, "0")}`;
}

/** What the name announces, or null where it is no announcement. */
export function parseAnnouncementName(name: string): AnnouncedOpen | null {
  const [, number, attempt] = announcementPattern.exec(name) ?? [];
  return number === undefined ? null : { number: Number(number), attempt: Number(attempt) };
}

function padded(number: number): string {
  return String(number).padStart(12, "0");
}
