import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type WatchedRun, watchRun } from "../demo/interrupted-run.ts";
import { LiveView } from "../demo/live-view.ts";
import { type Installation, install } from "../harness/installation.ts";
import { type InterruptionKind, interruptionKinds } from "../harness/interruptions.ts";
import { RunAccess } from "../harness/run-access.ts";
import { weightsDigest } from "../harness/run-volume.ts";
import type { Measurement, Result } from "./result.ts";
import { mnistManifest } from "./trained-run.ts";

const runs = 4;
const steps = 600;
const limitMs = 40 * 60_000;

/**
 * Trains the same thing once undisturbed and several times with interruptions of every kind at random instants, and compares
 * the weights that they end with. One run's interruptions are every kind once, in random order, at random shares of its steps.
 */
export const exactness: Measurement = {
  name: "exactness",
  what: `${runs * interruptionKinds.length} interruptions of every kind at random instants, over ${runs} runs`,
  seconds: 600,
  run: measureExactness,
};

type Ended = Readonly<{ watched: WatchedRun; weights: string }>;

async function measureExactness(): Promise<Result> {
  const signal = AbortSignal.timeout(limitMs);
  const directory = await mkdtemp(join(tmpdir(), "trainingrun-exactness-"));
  const report = (line: string) => console.log(`  ${line}`);
  const installation = await install({ directory: join(directory, "cluster"), report, signal });
  try {
    const reference = await train(installation, "reference", { plan: [], signal });
    const interrupted: Ended[] = [];
    for (let index = 1; index <= runs; index += 1) {
      interrupted.push(await train(installation, `interrupted-${index}`, { plan: randomPlan(), signal }));
    }
    return resultOf(reference, interrupted);
  } finally {
    await installation.remove();
  }
}

async function train(
  { api }: Installation,
  name: string,
  { plan, signal }: { plan: ReturnType<typeof randomPlan>; signal: AbortSignal },
): Promise<Ended> {
  const access = new RunAccess(api, { namespace: "default", name });
  // Steps that take a while leave the interruptions instants to fall into.
  const env = { MNIST_STEPS: `${steps}`, MNIST_STEP_MS: "40", MNIST_EVALUATE_EVERY: "150" };
  await access.create(await mnistManifest({ env, intervalSteps: 60 }));
  const watched = await watchRun({ api, access, view: new LiveView(), plan, signal });
  const final = watched.run.status.latestVerified;
  const weights = final === undefined ? "none" : await weightsDigest(watched.volume, final);
  await access.remove(signal);
  return { watched, weights };
}

/** Every kind once, in random order; the instants are random too, past the first checkpoint and apart enough to recover. */
function randomPlan(): readonly { kind: InterruptionKind; at: number }[] {
  const kinds = interruptionKinds
    .map((kind) => ({ kind, key: Math.random() }))
    .toSorted((a, b) => a.key - b.key)
    .map(({ kind }) => kind);
  const share = 0.8 / kinds.length;
  return kinds.map((kind, index) => ({ kind, at: 0.15 + share * (index + 0.8 * Math.random()) }));
}

function resultOf(reference: Ended, interrupted: readonly Ended[]): Result {
  const equal = interrupted.filter(({ weights }) => weights === reference.weights && weights !== "none").length;
  const interruptions = interrupted.flatMap(({ watched }) =>
    watched.interruptions.map(({ kind, attempt }) => ({
      kind,
      lostSteps: watched.run.status.attempts.find(({ number }) => number === attempt)?.lostSteps ?? null,
    })),
  );
  const lostBy = (...kinds: InterruptionKind[]) =>
    interruptions.filter(({ kind }) => kinds.includes(kind)).map(({ lostSteps }) => lostSteps);
  const graceful = lostBy("eviction", "eviction during a save", "preemption");
  const causes = interrupted.map(({ watched }) =>
    watched.run.status.attempts.toReversed().map(({ cause }) => cause ?? "none"),
  );
  return {
    name: "exactness",
    holds: interruptions.length >= 20 && equal === runs && graceful.every((lost) => lost === 0),
    figures: {
      interruptions: interruptions.length,
      runs,
      equalDigests: equal,
      weights: reference.weights,
      lostStepsGraceful: graceful,
      lostStepsSigkill: lostBy("SIGKILL"),
      lostStepsDamaged: lostBy("damaged checkpoint"),
      causes,
    },
    goals: {
      interruptions: "at least 20, every kind",
      equalDigests: `${runs} of ${runs} runs end with the undisturbed run's weights`,
      lostStepsGraceful: "0 each",
      lostStepsSigkill: "at most the interval of 60 steps and a save in flight",
    },
  };
}
