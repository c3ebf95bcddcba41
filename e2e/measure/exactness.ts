import { expectedCause } from "../harness/expected-cause.ts";
import type { Installation } from "../harness/installation.ts";
import { type InterruptionKind, interruptionKinds } from "../harness/interruptions.ts";
import { LiveView } from "../harness/live-view.ts";
import { RunAccess } from "../harness/run-access.ts";
import { weightsDigest } from "../harness/run-volume.ts";
import { type WatchedRun, watchRun } from "../harness/watched-run.ts";
import { onCluster } from "./on-cluster.ts";
import type { Measurement, Result } from "./result.ts";
import { mnistManifest } from "./trained-run.ts";

const runs = 4;
const steps = 600;
const intervalSteps = 60;

/**
 * Trains the same thing once undisturbed and several times with interruptions of every kind at random instants, and compares
 * the weights that they end with. One run's interruptions are every kind once, in random order, at random shares of its steps.
 */
export const exactness: Measurement = {
  name: "exactness",
  what: `${runs * interruptionKinds.length} interruptions of every kind at random instants, over ${runs} runs`,
  seconds: 600,
  limitMs: 40 * 60_000,
  run: async (signal) => {
    const report = (line: string) => console.log(`  ${line}`);
    return await onCluster({ name: "exactness", signal, report }, (on) => measureExactness(on, signal));
  },
};

/** A training watched to its end: what the verdict rests on. */
export type Ended = Readonly<{
  run: Pick<WatchedRun["run"], "status">;
  interruptions: readonly Readonly<{ kind: InterruptionKind; attempt: number }>[];
  weights: string;
}>;

async function measureExactness(installation: Installation, signal: AbortSignal): Promise<Result> {
  const reference = await train(installation, "reference", { plan: [], signal });
  const interrupted: Ended[] = [];
  for (let index = 1; index <= runs; index += 1) {
    interrupted.push(await train(installation, `interrupted-${index}`, { plan: randomPlan(), signal }));
  }
  return exactnessResult(reference, interrupted);
}

async function train(
  { api }: Installation,
  name: string,
  { plan, signal }: { plan: ReturnType<typeof randomPlan>; signal: AbortSignal },
): Promise<Ended> {
  const access = new RunAccess(api, { namespace: "default", name });
  // Steps that take a while leave the interruptions instants to fall into.
  const env = { MNIST_STEPS: `${steps}`, MNIST_STEP_MS: "40", MNIST_EVALUATE_EVERY: "150" };
  await access.create(await mnistManifest({ env, intervalSteps }));
  const { run, interruptions, volume } = await watchRun({ api, access, view: new LiveView(), plan, signal });
  const final = run.status.latestVerified;
  const weights = final === undefined ? "none" : await weightsDigest(volume, final);
  await access.remove(signal);
  return { run, interruptions, weights };
}

/**
 * Every kind once, in random order; the instants are random too, past the first checkpoint and apart enough to recover.
 * The last one leaves more steps than an interval: what waits for a save must not meet the final one, which ends the run.
 */
function randomPlan(): readonly { kind: InterruptionKind; at: number }[] {
  const kinds = interruptionKinds
    .map((kind) => ({ kind, key: Math.random() }))
    .toSorted((a, b) => a.key - b.key)
    .map(({ kind }) => kind);
  const share = 0.7 / kinds.length;
  return kinds.map((kind, index) => ({ kind, at: 0.15 + share * (index + 0.8 * Math.random()) }));
}

/** What the trainings come to, beside the undisturbed one. */
export function exactnessResult(reference: Ended, interrupted: readonly Ended[]): Result {
  const equal = interrupted.filter(({ weights }) => weights === reference.weights && weights !== "none").length;
  const ends = interrupted.flatMap(({ run, interruptions }) =>
    interruptions.map(({ kind, attempt }) => {
      const entry = run.status.attempts.find(({ number }) => number === attempt);
      return { kind, cause: entry?.cause ?? "none", lostSteps: entry?.lostSteps ?? null };
    }),
  );
  const lostBy = (...kinds: InterruptionKind[]) =>
    ends.filter(({ kind }) => kinds.includes(kind)).map(({ lostSteps }) => lostSteps);
  const graceful = lostBy("eviction", "eviction during a save", "preemption");
  const killed = lostBy("SIGKILL");
  const refused = interrupted.map(({ run }) => run.status.refused.length);
  const damaged = interrupted.map(({ interruptions }) => interruptions.filter(({ kind }) => kind === damage).length);
  const every = interruptionKinds.every((kind) => ends.some((end) => end.kind === kind));
  return {
    name: "exactness",
    figures: {
      interruptions: ends.length,
      runs: interrupted.length,
      completed: [reference, ...interrupted].filter(isComplete).length,
      equalDigests: equal,
      weights: reference.weights,
      lostStepsGraceful: graceful,
      lostStepsSigkill: killed,
      lostStepsDamaged: lostBy(damage),
      refused,
      causes: interrupted.map(({ run }) => run.status.attempts.toReversed().map(({ cause }) => cause ?? "none")),
    },
    goals: {
      interruptions: { goal: "at least 20, every kind", met: ends.length >= 20 && every },
      completed: {
        goal: `all of them at step ${steps}, the undisturbed one in one attempt`,
        met: [reference, ...interrupted].every(isComplete) && reference.run.status.attempts.length === 1,
      },
      equalDigests: {
        goal: "every run ends with the undisturbed run's weights",
        met: interrupted.length > 0 && equal === interrupted.length,
      },
      causes: {
        goal: "every interruption ended the attempt it was meant for, and nothing else ended one",
        met:
          ends.every(({ kind, cause }) => cause === expectedCause[kind]) &&
          interrupted.every(({ run, interruptions }) => run.status.attempts.length === interruptions.length + 1),
      },
      refused: {
        goal: "the damaged checkpoints, and no other",
        met: refused.every((count, index) => count === damaged[index]),
      },
      lostStepsGraceful: { goal: "0 each", met: graceful.length > 0 && graceful.every((lost) => lost === 0) },
      lostStepsSigkill: {
        goal: `the interval of ${intervalSteps} steps and what passes during one save: below ${2 * intervalSteps} each`,
        met: killed.length > 0 && killed.every((lost) => lost !== null && lost < 2 * intervalSteps),
      },
    },
  };
}

const damage: InterruptionKind = "damaged checkpoint";

function isComplete({ run: { status } }: Ended): boolean {
  return status.state === "Complete" && status.latestVerified?.step === steps;
}
