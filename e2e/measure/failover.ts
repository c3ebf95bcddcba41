import { type FailoverRounds, failoverRounds } from "./failover-rounds.ts";
import { type Measurement, median, quantile, type Result, rounded } from "./result.ts";

const rounds = 12;
const leastRounds = 10;
const killedGoalSeconds = 17;
const stoppedGoalSeconds = 2;

/**
 * Two processes of the operator on an API server of their own, of which one leads. It is killed, asked to stop, and
 * stopped in the middle of its work and woken when the other one leads. Seconds go from what is done to the leader to the
 * first write of the other that the server takes and that is not about the Lease. Harmful is every write, about the Lease
 * too, that the server takes from a leader that was woken, and every pod that is another or one more after it.
 */
export const failover: Measurement = {
  name: "failover",
  what: `the leader of two operators is killed, asked to stop, and paused and woken, ${rounds} times each`,
  seconds: 400,
  limitMs: 30 * 60_000,
  run: async (signal) => failoverResult(await failoverRounds(rounds, signal)),
};

/** What the rounds come to. */
export function failoverResult({ killed, stopped, paused, woken }: FailoverRounds): Result {
  const harmfulWrites = sum(woken.map(({ writesTaken, podsChanged }) => writesTaken + podsChanged));
  const triedWrites = sum(woken.map(({ writesTried }) => writesTried));
  const within = (seconds: readonly number[], goalSeconds: number) => ({
    goal: `p95 of at least ${leastRounds} rounds at most ${goalSeconds} s`,
    met: seconds.length >= leastRounds && quantile(seconds, 0.95) <= goalSeconds,
  });
  return {
    name: "failover",
    figures: {
      killedSeconds: figuresOf(killed),
      stoppedSeconds: figuresOf(stopped),
      pausedSeconds: figuresOf(paused),
      woken: woken.length,
      triedWrites,
      harmfulWrites,
    },
    goals: {
      killedSeconds: within(killed, killedGoalSeconds),
      stoppedSeconds: within(stopped, stoppedGoalSeconds),
      pausedSeconds: within(paused, killedGoalSeconds),
      harmfulWrites: {
        goal: `0 of leaders woken at least ${leastRounds} times`,
        met: woken.length >= leastRounds && harmfulWrites === 0,
      },
    },
  };
}

function figuresOf(seconds: readonly number[]): Readonly<Record<string, number>> {
  return {
    rounds: seconds.length,
    median: rounded(median(seconds)),
    p95: rounded(quantile(seconds, 0.95)),
    least: rounded(Math.min(...seconds)),
    most: rounded(Math.max(...seconds)),
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
