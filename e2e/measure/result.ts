import { execFileSync } from "node:child_process";
import { cpus, totalmem } from "node:os";

/** What one measurement came to: the last line `npm run measure -- NAME` prints, as one line of JSON. */
export type Result = Readonly<{
  name: string;
  /** Whether every goal was met. */
  holds: boolean;
  /** What was measured; names end in their unit. */
  figures: Readonly<Record<string, unknown>>;
  /** The goal beside each figure, in words. */
  goals: Readonly<Record<string, string>>;
}>;

/** A measurement by name; `seconds` is how long it usually takes. */
export type Measurement = Readonly<{ name: string; what: string; seconds: number; run: () => Promise<Result> }>;

/** Prints the line and sets the exit code: 1 where a goal was missed. */
export function publish(result: Result): void {
  if (!result.holds) process.exitCode = 1;
  console.log(JSON.stringify({ ...result, machine: machine(), commit: commit() }));
}

/** The middle of the values (mean of the two middle ones when their number is even); NaN for none. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Linear interpolation between closest ranks (Hyndman and Fan's type 7); NaN for no values. */
export function quantile(values: readonly number[], q: number): number {
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

function machine(): string {
  const [cpu] = cpus();
  return `${cpus().length} x ${cpu?.model.trim() ?? "unknown"}, ${Math.round(totalmem() / 2 ** 30)} GiB`;
}

function commit(): string {
  const git = (...args: string[]) => execFileSync("git", args, { encoding: "utf8" }).trim();
  const dirty = git("status", "--porcelain") === "" ? "" : "+changes";
  return `${git("rev-parse", "--short=12", "HEAD")}${dirty}`;
}
