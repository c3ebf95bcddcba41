import { cpus, totalmem } from "node:os";
import { commitOfTree } from "./commit.ts";

/** A goal in words, and whether the figures meet it. */
export type Goal = Readonly<{ goal: string; met: boolean }>;

/** What one measurement came to. */
export type Result = Readonly<{
  name: string;
  /** What was measured; names end in their unit. */
  figures: Readonly<Record<string, unknown>>;
  /** What it has to come to, by the figure's name. */
  goals: Readonly<Record<string, Goal>>;
}>;

/** A measurement by name; `seconds` is how long it usually takes. It leaves nothing behind, also where `signal` ends it. */
export type Measurement = Readonly<{
  name: string;
  what: string;
  seconds: number;
  limitMs: number;
  run: (signal: AbortSignal) => Promise<Result>;
}>;

/** Whether every goal was met; a result without goals shows nothing. */
export function holds({ goals }: Result): boolean {
  const all = Object.values(goals);
  return all.length > 0 && all.every(({ met }) => met);
}

/** The line that a measurement ends with: `{name, holds, figures, goals, machine, commit}` as JSON. */
export function lineOf(result: Result): string {
  const { name, figures, goals } = result;
  return JSON.stringify({ name, holds: holds(result), figures, goals, machine: machine(), commit: commitOfTree() });
}

/** The result of a measurement that did not come to its end. */
export function brokenResult(name: string, error: unknown): Result {
  const why = error instanceof Error ? error.message : String(error);
  return { name, figures: { error: why }, goals: { end: { goal: "the measurement comes to its end", met: false } } };
}

/** The middle of the values (mean of the two middle ones when their number is even); NaN for none. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/**
 * Linear interpolation between closest ranks (Hyndman and Fan's type 7). NaN for no values, and where one of them is no
 * number: what is unknown must not vanish in an order.
 */
export function quantile(values: readonly number[], q: number): number {
  if (values.some(Number.isNaN)) return Number.NaN;
  const sorted = values.toSorted((a, b) => a - b);
  const position = (sorted.length - 1) * q;
  const below = sorted[Math.floor(position)] ?? Number.NaN;
  const above = sorted[Math.ceil(position)] ?? Number.NaN;
  return below + (above - below) * (position - Math.floor(position));
}

/** Rounds to three decimals, enough for milliseconds in seconds. */
export function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}

/** The most memory that this process has held so far, in MiB. */
export function peakRssMiB(): number {
  return Math.round(process.resourceUsage().maxRSS / 1024);
}

function machine(): string {
  const [cpu] = cpus();
  return `${cpus().length} x ${cpu?.model.trim() ?? "unknown"}, ${Math.round(totalmem() / 2 ** 30)} GiB`;
}
