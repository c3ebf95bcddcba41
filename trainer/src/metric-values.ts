import { type Metric, Metrics } from "@trainingrun/checkpoint/contract/digest.ts";
import { z } from "zod";

/** Measurements by name, as the training loop holds them. */
export type MetricValues = Readonly<Record<string, number>>;

/** The form in which metrics travel: sorted by name, decimals in strings, so that NaN and infinities survive JSON. */
export function toMetrics(values: MetricValues): Metric[] {
  return Object.entries(values)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => ({ name, value: String(value) }));
}

/** The reverse of {@link toMetrics}, exact: JavaScript prints a number so that it reads back the same. */
export function fromMetrics(metrics: readonly Metric[]): MetricValues {
  return Object.fromEntries(metrics.map(({ name, value }) => [name, Number(value)]));
}

/** Throws for metrics that no checkpoint can hold: at the evaluation that made them, not at every save from then on. */
export function requireMetrics(values: MetricValues): void {
  const parsed = Metrics.safeParse(toMetrics(values));
  if (parsed.success) return;
  const names = Object.keys(values).sort().join(", ").slice(0, 300);
  const rule = z.prettifyError(parsed.error).replaceAll("\n", " ").slice(0, 300);
  throw new RangeError(
    "Cannot record these metrics because a checkpoint holds at most 32 numbers with names of 1 to 63 characters " +
      `(${rule}): ${names}. Let every.run return others.`,
  );
}
