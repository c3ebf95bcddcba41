import { spawn } from "node:child_process";
import { once } from "node:events";
import { z } from "zod";
import { median, rounded } from "./result.ts";

/** One program that writes or reads the same amount of bytes, in a process of its own each time. */
export type Contender = Readonly<{
  name: string;
  command: readonly string[];
  /** Why it is not tried here; absent where it is. */
  skipped?: string;
}>;

/** What a contender's process says in its last line. */
const Timing = z.union([
  z.object({
    seconds: z.number().positive(),
    cpuSeconds: z.number(),
    peakBytes: z.number(),
    /** Read from the device, and not out of the page cache; programs that only write do not say. */
    deviceBytes: z.number().optional(),
  }),
  z.object({ error: z.string() }),
]);
export type Timing = z.infer<typeof Timing>;

/** A contender over all rounds; `bytesPerSecond` is null where it never came to its end. */
export type Row = Readonly<{
  name: string;
  /** Of the state. */
  mebibytes: number;
  bytesPerSecond: number | null;
  gigabytesPerSecond: readonly number[];
  /** Of one processor, while it worked. */
  cpuSeconds: number | null;
  peakMebibytes: number | null;
  /** The least of all rounds that came from the device. */
  deviceMebibytes: number | null;
  problem: string | null;
}>;

/** Runs every contender once a round, one after the other, each round beginning with another one. */
export async function interleaved(
  contenders: readonly Contender[],
  {
    bytes,
    rounds,
    before,
    signal,
  }: { bytes: number; rounds: number; before: () => Promise<void>; signal: AbortSignal },
): Promise<Row[]> {
  const timings = new Map<string, Timing[]>();
  for (let round = 0; round < rounds; round += 1) {
    const shift = round % contenders.length;
    for (const contender of [...contenders.slice(shift), ...contenders.slice(0, shift)]) {
      const seen = timings.get(contender.name) ?? [];
      timings.set(contender.name, seen);
      // What failed once does so again, and a large state takes long to make.
      if (contender.skipped !== undefined || seen.some((timing) => "error" in timing)) continue;
      await before();
      const timing = await timed(contender, signal);
      seen.push(timing);
      console.log(`  ${contender.name}: ${wordsOf(timing, bytes)}`);
    }
  }
  return contenders.map((contender) => rowOf(contender, timings.get(contender.name) ?? [], bytes));
}

/** What the rounds of a contender come to. */
export function rowOf({ name, skipped }: Contender, timings: readonly Timing[], bytes: number): Row {
  const whole = timings.flatMap((timing) => ("seconds" in timing ? [timing] : []));
  const failed = timings.find((timing) => "error" in timing);
  const problem = skipped === undefined ? (failed?.error ?? null) : `skipped: ${skipped}`;
  const known = problem === null && whole.length > 0;
  return {
    name,
    mebibytes: bytes / 2 ** 20,
    bytesPerSecond: known ? bytes / median(whole.map(({ seconds }) => seconds)) : null,
    gigabytesPerSecond: whole.map(({ seconds }) => rounded(bytes / seconds / 1e9)),
    cpuSeconds: known ? rounded(median(whole.map(({ cpuSeconds }) => cpuSeconds))) : null,
    peakMebibytes: known ? Math.round(Math.max(...whole.map(({ peakBytes }) => peakBytes)) / 2 ** 20) : null,
    deviceMebibytes: known ? leastOf(whole.map(({ deviceBytes }) => deviceBytes)) : null,
    problem,
  };
}

function leastOf(bytes: readonly (number | undefined)[]): number | null {
  const known = bytes.filter((one) => one !== undefined);
  return known.length === 0 ? null : Math.floor(Math.min(...known) / 2 ** 20);
}

/** How many times as fast as `other` this one is; NaN, which meets no goal, where one of them is unknown. */
export function ratio(rows: readonly Row[], name: string, other: string): number {
  const speed = (wanted: string) => rows.find((row) => row.name === wanted)?.bytesPerSecond ?? Number.NaN;
  return rounded(speed(name) / speed(other));
}

async function timed({ command: [program = "", ...args] }: Contender, signal: AbortSignal): Promise<Timing> {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], signal, killSignal: "SIGKILL" });
  const [output, complaints]: [string[], string[]] = [[], []];
  child.stdout.on("data", (piece) => output.push(String(piece)));
  child.stderr.on("data", (piece) => complaints.push(String(piece)));
  const [code, killedBy] = await once(child, "close");
  const line = output.join("").trimEnd().split("\n").at(-1) ?? "";
  if (code !== 0) return { error: `${killedBy ?? `exit code ${code}`}: ${lastWords(complaints.join(""))}` };
  return Timing.parse(JSON.parse(line));
}

function lastWords(text: string): string {
  const said = text.split("\n").filter((line) => /\b\w*(Error|error)\b/.test(line));
  return (said.at(-1) ?? text).trim().slice(0, 300);
}

function wordsOf(timing: Timing, bytes: number): string {
  if ("error" in timing) return timing.error;
  const { seconds, cpuSeconds, peakBytes } = timing;
  return `${(bytes / seconds / 1e9).toFixed(2)} GB/s, ${cpuSeconds.toFixed(2)} s of a processor, peak ${Math.round(peakBytes / 2 ** 20)} MiB`;
}
