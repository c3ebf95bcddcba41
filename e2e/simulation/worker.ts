import { createInterface } from "node:readline";
import { fileReplacements } from "./host/files.ts";
import { installHost } from "./host/install.ts";
import type { Tried } from "./judge/coverage.ts";
import type { Judgement } from "./judge/oracle.ts";
import type { Plan } from "./plan/draw.ts";
import type { Played } from "./play.ts";

/** One play that a worker is asked for, as a line of JSON: of the plan that its seed draws, or of another. */
export type Asked = Readonly<{ seed: number; isCalm: boolean; plan?: Plan }>;

/** What it answers, as a line of JSON. */
export type Answer = Readonly<{ asked: Asked; cpuMs: number }> &
  Readonly<
    (Omit<Played, "history" | "expected" | "lines"> & { judgement: Judgement; tried: Tried }) | { error: string }
  >;

// The host first, then what is played on it: a module that took Node's functions before would keep the real ones.
installHost({ models: fileReplacements() });
const { play, planOf } = await import("./play.ts");
const { judge } = await import("./judge/oracle.ts");
const { triedBy } = await import("./judge/coverage.ts");
const { allChecks } = await import("./judge/checks.ts");

for await (const line of createInterface({ input: process.stdin })) {
  const asked: Asked = JSON.parse(line);
  const before = process.cpuUsage();
  const said = await playOne(asked);
  const { user, system } = process.cpuUsage(before);
  process.stdout.write(`${JSON.stringify({ asked, cpuMs: (user + system) / 1_000, ...said })}\n`);
}

async function playOne({ seed, isCalm, plan = planOf(seed, { isCalm }) }: Asked) {
  try {
    const { history, expected, lines: _, ...played } = await play(plan);
    const judgement = judge(history, expected, allChecks);
    return { ...played, judgement, tried: triedBy(history.events, judgement) };
  } catch (error) {
    return { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}
