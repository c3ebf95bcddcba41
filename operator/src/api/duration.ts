import { z } from "zod";
import { withRules } from "./rule.ts";

const secondsPerUnit: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600 };

/** A Go duration such as `90s`, `5m` or `1h30m`, longer than zero. */
export const Duration = withRules(
  z
    .string()
    .min(1)
    .max(32)
    .regex(/^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$/, "must be a duration such as 90s, 5m or 1h30m"),
  [
    {
      cel: "duration(self) > duration('0s')",
      message: "a duration must be longer than zero: write one such as 90s or 5m",
      holds: (text) => durationSeconds(text) > 0,
    },
  ],
  "A Go duration such as `90s`, `5m` or `1h30m`.",
);

/** Seconds of a duration that {@link Duration} has accepted. */
export function durationSeconds(text: string): number {
  let seconds = 0;
  for (const [, amount, unit] of text.matchAll(/([0-9.]+)(ms|s|m|h)/g)) {
    seconds += Number(amount) * (secondsPerUnit[unit ?? ""] ?? 0);
  }
  return seconds;
}
