import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

/** Values of a metric's labels, by their names. */
export type Labels = Readonly<Record<string, string>>;
/** One line of a metric: its labels and its value. */
export type Sample = readonly [labels: Labels, value: number];

type Named = Readonly<{ name: string; help: string; labels?: readonly string[] }>;

/** The one place that knows which metrics library is used. Everything else says what it counts. */
export class MetricsRegistry {
  readonly #registry = new Registry();

  /** Adds the process's own: memory, processor time, event loop lag, garbage collection. */
  addProcessMetrics(): void {
    collectDefaultMetrics({ register: this.#registry });
  }

  /** A count that is moved as things happen. */
  counter({ name, help, labels = [] }: Named): (labels: Labels, by?: number) => void {
    const counter = new Counter({ name, help, labelNames: [...labels], registers: [this.#registry] });
    return (values, by = 1) => counter.inc(values, by);
  }

  /** A distribution of seconds. */
  histogram({
    name,
    help,
    labels = [],
    buckets,
  }: Named & Readonly<{ buckets: readonly number[] }>): (labels: Labels, value: number) => void {
    const histogram = new Histogram({
      name,
      help,
      labelNames: [...labels],
      buckets: [...buckets],
      registers: [this.#registry],
    });
    return (values, value) => histogram.observe(values, value);
  }

  /** A value that is looked up when it is asked for; a series that is not sampled again is gone. */
  sampledGauge({ name, help, labels = [] }: Named, sample: () => Iterable<Sample>): void {
    new Gauge({
      name,
      help,
      labelNames: [...labels],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const [values, value] of sample()) this.set(values, value);
      },
    });
  }

  /** A count that something else keeps, looked up when it is asked for. */
  sampledCounter({ name, help, labels = [] }: Named, sample: () => Iterable<Sample>): void {
    new Counter({
      name,
      help,
      labelNames: [...labels],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const [values, value] of sample()) this.inc(values, value);
      },
    });
  }

  /** Everything in the text format, with its media type. */
  async text(): Promise<Readonly<{ contentType: string; body: string }>> {
    return { contentType: this.#registry.contentType, body: await this.#registry.metrics() };
  }
}
