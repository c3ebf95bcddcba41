import { setTimeout as delay } from "node:timers/promises";
import { onApiServer } from "./on-api-server.ts";
import { type Access, OperatorPair } from "./operator-pair.ts";

/** What a leader did after it was woken, when another one led. */
export type Woken = Readonly<{
  /** Writes that it sent, about the Lease too. */
  writesTried: number;
  /** Those of them that the server took. */
  writesTaken: number;
  /** Pods that were there before and are not, or the other way round. */
  podsChanged: number;
}>;

/** What the rounds of each kind came to, in seconds, and what those that were woken did. */
export type FailoverRounds = Readonly<{
  killed: readonly number[];
  stopped: readonly number[];
  paused: readonly number[];
  woken: readonly Woken[];
}>;

/** A renewal comes every 2 s: the leader is met at any moment between two. */
const renewalMs = 2_000;
/** A run takes a new leader some ten writes, one after the other: it is paused before, within and after them. */
const workMs = 80;
/** As long as two renewals take: what a woken leader still does, it has done by then. */
const afterWakingMs = 4_000;

/**
 * Changes the leader so many times in each way, on an API server that is started for it. Most of the time is spent on
 * waiting for leases, so that two pairs of operators wait beside each other; leaders that are asked to end have the
 * machine to themselves.
 */
export async function failoverRounds(rounds: number, signal: AbortSignal): Promise<FailoverRounds> {
  return await onApiServer({ name: "failover", signal }, (access) => changeLeaders(access, rounds, signal));
}

async function changeLeaders(access: Access, rounds: number, signal: AbortSignal): Promise<FailoverRounds> {
  const broken = new AbortController();
  const either = AbortSignal.any([signal, broken.signal]);
  const repeat = (what: string, change: typeof killed) => (pair: OperatorPair) =>
    repeated({ what, rounds, signal: either }, () => change(pair, either));
  const stoppedSeconds = await withPair(access, "stopped", repeat("stopped", stopped));
  const woken: Woken[] = [];
  const lanes = [
    withPair(access, "killed", repeat("killed", killed)),
    withPair(
      access,
      "paused",
      repeat("paused", async (pair) => {
        const { seconds, ...rest } = await pausedAndWoken(pair, either);
        woken.push(rest);
        return seconds;
      }),
    ),
  ] as const;
  try {
    const [killedSeconds, pausedSeconds] = await Promise.all(lanes);
    return { killed: killedSeconds, stopped: stoppedSeconds, paused: pausedSeconds, woken };
  } finally {
    broken.abort(new Error("the other half of the measurement broke"));
    await Promise.allSettled(lanes);
  }
}

async function withPair<T>(access: Access, namespace: string, work: (pair: OperatorPair) => Promise<T>): Promise<T> {
  const pair = await OperatorPair.start(access, namespace);
  try {
    return await work(pair);
  } finally {
    await pair.stop();
  }
}

async function repeated(
  { what, rounds, signal }: Readonly<{ what: string; rounds: number; signal: AbortSignal }>,
  change: () => Promise<number>,
): Promise<readonly number[]> {
  const seconds: number[] = [];
  while (seconds.length < rounds) {
    await delay(Math.random() * renewalMs, undefined, { signal });
    seconds.push(await change());
    console.log(`  ${what} ${seconds.length} of ${rounds}: ${seconds.at(-1)?.toFixed(3)} s`);
  }
  return seconds;
}

async function killed(pair: OperatorPair, signal: AbortSignal): Promise<number> {
  const since = performance.now();
  await pair.leader.process.kill();
  await pair.createRun();
  const tookMs = (await pair.otherWrites(since, signal)) - since;
  await pair.replaceLeader();
  return tookMs / 1000;
}

async function stopped(pair: OperatorPair, signal: AbortSignal): Promise<number> {
  const since = performance.now();
  pair.leader.process.terminate();
  // The one that ends may still serve the first of these, and leave nothing to do.
  const enough = new AbortController();
  const [writtenAt] = await Promise.all([
    pair.otherWrites(since, signal).finally(() => enough.abort()),
    pair.createRuns(AbortSignal.any([signal, enough.signal])),
  ]);
  await pair.replaceLeader();
  return (writtenAt - since) / 1000;
}

async function pausedAndWoken(pair: OperatorPair, signal: AbortSignal): Promise<Woken & Readonly<{ seconds: number }>> {
  await pair.createRun();
  await delay(Math.random() * workMs, undefined, { signal });
  const { leader } = pair;
  const since = performance.now();
  leader.process.freeze();
  await pair.createRun();
  const tookMs = (await pair.otherWrites(since, signal)) - since;
  await pair.everyRunHasItsPod();
  const before = { pods: await pair.pods(), tried: leader.writesTried, taken: leader.writesTaken };
  pair.swap();
  leader.process.thaw();
  await pair.areInPlace();
  await delay(afterWakingMs, undefined, { signal });
  const after = await pair.pods();
  return {
    seconds: tookMs / 1000,
    writesTried: leader.writesTried - before.tried,
    writesTaken: leader.writesTaken - before.taken,
    podsChanged: before.pods.symmetricDifference(after).size,
  };
}
