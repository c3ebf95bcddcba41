import { setTimeout as wait } from "node:timers/promises";
import type { Place } from "../causes/walk.ts";
import { chooseNodes, walkedNodes } from "../causes/walk-all.ts";
import { onCluster } from "./on-cluster.ts";
import { type AuditedWrite, auditedWrites, type Window, writesWithin } from "./quiet-audit.ts";
import { whileOthersComeAndGo } from "./quiet-queue.ts";
import { type AttemptWindows, type IdleRun, replaceOnce, withIdleRuns } from "./quiet-runs.ts";
import { type Goal, type Measurement, type Result, rounded } from "./result.ts";

const idleMinutes = 10;
const rounds = 4;
const goals = { created: 10, replaced: 14 } as const;
/** An event that was told twice has its count written within six minutes; what is told of a beginning comes at once. */
const settlingMs = 30_000;

/**
 * What the operator writes about a run that nothing happens to, in each state that a run may stay in, and what it writes
 * for a run's first step and for the first step after an eviction. The API server's own audit log counts.
 */
export const quiet: Measurement = {
  name: "quiet",
  what: `${idleMinutes} minutes of runs that have nothing to do, and ${rounds} runs that are created and evicted`,
  seconds: 60 * idleMinutes + 360,
  limitMs: 30 * 60_000,
  run: async (signal) => {
    const report = (line: string) => console.log(`  ${line}`);
    const cluster = { audit: "requests", nodes: walkedNodes } as const;
    return await onCluster({ name: "quiet", signal, report, ...cluster }, async (installation) => {
      const place = { installation, signal, ...(await chooseNodes(installation)) };
      const attempts = await replaceInTurn(place, report);
      const seen = await whileOthersComeAndGo(installation.api, signal, async (signal) =>
        withIdleRuns({ ...place, signal }, async (idle) => {
          await wait(settlingMs, undefined, { signal });
          report(`${idle.length} runs have nothing to do: ${idle.map(({ kind }) => kind).join(", ")}`);
          const fromMs = Date.now();
          await wait(idleMinutes * 60_000, undefined, { signal });
          return { idle, attempts, window: { fromMs, toMs: Date.now() } };
        }),
      );
      const writes = await auditedWrites(installation.cluster.directory);
      for (const line of wordsOf(writes, seen)) report(line);
      return quietResult(installation.cluster.way, writes, seen);
    });
  },
};

async function replaceInTurn(place: Place, report: (line: string) => void): Promise<readonly AttemptWindows[]> {
  const attempts: AttemptWindows[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    attempts.push(await replaceOnce(`attempts-${round}`, place));
    report(`run ${round} of ${rounds} was created and evicted`);
  }
  return attempts;
}

/** When what was done, for the writes to be counted. */
export type Seen = Readonly<{ idle: readonly IdleRun[]; attempts: readonly AttemptWindows[]; window: Window }>;

/** Every write that there was: whoever has to find a needless one begins here. */
function* wordsOf(writes: readonly AuditedWrite[], { idle, attempts, window }: Seen): Generator<string> {
  for (const { kind, namespace } of idle) {
    const found = operators(writesWithin(writes, namespace, window));
    if (found.length > 0) yield `${kind}: ${tally(found)}`;
  }
  for (const { namespace, created, replaced } of attempts.slice(0, 1)) {
    yield `created: ${tally(operators(writesWithin(writes, namespace, created)))}`;
    yield `replaced: ${tally(operators(writesWithin(writes, namespace, replaced)))}`;
  }
}

function operators(writes: readonly AuditedWrite[]): readonly AuditedWrite[] {
  return writes.filter(({ isOperators }) => isOperators);
}

function tally(writes: readonly AuditedWrite[]): string {
  const counts = Map.groupBy(writes, ({ what, isTaken }) => (isTaken ? what : `${what} (refused)`));
  return [...counts].map(([what, found]) => `${found.length} x ${what}`).join(", ") || "nothing";
}

/** What the writes come to. */
export function quietResult(way: string, writes: readonly AuditedWrite[], seen: Seen): Result {
  const { attempts, window } = seen;
  const minutes = (window.toMs - window.fromMs) / 60_000;
  const idle = idleCounts(writes, seen);
  const created = attemptCounts(writes, attempts, "created");
  const replaced = attemptCounts(writes, attempts, "replaced");
  const loudest = Math.max(...idle.map(({ perHour }) => perHour));
  return {
    name: "quiet",
    figures: {
      cluster: way,
      idleMinutes: rounded(minutes),
      idleRuns: idle.length,
      writesPerIdleRunAndHour: loudest,
      idle,
      mostWritesAtCreation: Math.max(...created.map(({ operator }) => operator)),
      mostWritesPerReplacedPod: Math.max(...replaced.map(({ operator }) => operator)),
      created,
      replaced,
    },
    goals: {
      writesPerIdleRunAndHour: {
        goal: `0 in ${idleMinutes} minutes, whatever state it stays in`,
        met: idle.length > 0 && minutes >= idleMinutes && loudest === 0,
      },
      mostWritesAtCreation: few(created, goals.created),
      mostWritesPerReplacedPod: few(replaced, goals.replaced),
    },
  };
}

function idleCounts(writes: readonly AuditedWrite[], { idle, window }: Seen) {
  const hours = (window.toMs - window.fromMs) / 3_600_000;
  return idle.map(({ kind, namespace }) => {
    const found = operators(writesWithin(writes, namespace, window));
    const taken = found.filter(({ isTaken }) => isTaken).length;
    return { kind, perHour: rounded(taken / hours), refusedPerHour: rounded((found.length - taken) / hours) };
  });
}

type Count = Readonly<{ operator: number; everybody: number }>;

function attemptCounts(
  writes: readonly AuditedWrite[],
  attempts: readonly AttemptWindows[],
  phase: "created" | "replaced",
): readonly Count[] {
  return attempts.map(({ namespace, [phase]: when }) => {
    const all = writesWithin(writes, namespace, when).filter(({ isTaken }) => isTaken);
    return { operator: operators(all).length, everybody: all.length };
  });
}

function few(counts: readonly Count[], limit: number): Goal {
  return {
    goal: `at most ${limit} of the operator's, ${rounds} times`,
    // A run for which nothing was found was not counted.
    met: counts.length >= rounds && counts.every(({ operator }) => operator > 0 && operator <= limit),
  };
}
