import type { Instant } from "./observed.ts";

/** An instant as objects carry it: RFC 3339, UTC, whole milliseconds. */
export function timeOf(instant: Instant): string {
  return new Date(instant).toISOString();
}

/** The instant that an object's time names. */
export function instantOf(time: string): Instant {
  return Date.parse(time);
}

/** As {@link instantOf}; null where there is none or it cannot be read. */
export function instantOrNull(time: string | undefined | null): Instant | null {
  if (time === undefined || time === null) return null;
  const instant = Date.parse(time);
  return Number.isNaN(instant) ? null : instant;
}

/** Seconds in a string with at most one decimal, never negative: how status carries durations. */
export function secondsText(milliseconds: number): string {
  return (Math.max(0, Math.round(milliseconds / 100)) / 10).toString();
}
