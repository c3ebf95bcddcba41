import type { Metric } from "@trainingrun/checkpoint/contract/digest.ts";

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
