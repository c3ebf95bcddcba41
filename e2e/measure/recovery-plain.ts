import { join } from "node:path";
import type { Installation } from "../harness/installation.ts";
import {
  type Contender,
  job,
  jobSet,
  jobSetWithSidecar,
  restartingTrainJob,
  shortBackoff,
  trainingRun,
  trainingRunWithInit,
  trainJob,
} from "../recovery/contenders.ts";
import { startKubeflowTrainer } from "../recovery/kubeflow-trainer.ts";
import { beside, inTurn, type Lane, whileItFits } from "../recovery/rounds.ts";
import { type Loss, Stage } from "../recovery/stage.ts";
import { startJobSet } from "../scale/jobset-controller.ts";

/** How many of each are asked for, in a row. */
export const losses = { eviction: 20, crash: 5 } as const satisfies Record<Loss, number>;

type Named = Readonly<{ name: string; contender: Contender }>;

/** Those who bring the next container as soon as they can: all of their losses are waited for. */
const prompt: readonly Named[] = [
  { name: "trainingRun", contender: trainingRun("training-run", shortBackoff) },
  { name: "trainingRunWithInit", contender: trainingRunWithInit("training-run-with-init", shortBackoff) },
  { name: "jobSet", contender: jobSet("job-set") },
  { name: "jobSetWithSidecar", contender: jobSetWithSidecar("job-set-with-sidecar") },
  { name: "restartingTrainJob", contender: restartingTrainJob("restarting-train-job") },
];

/** Those who back off, each with an object of its own for each kind of loss: its wait depends on what came before. */
const backingOff: readonly (Named & Readonly<{ loss: Loss }>)[] = [
  { loss: "eviction", name: "job", contender: job("evicted-job") },
  { loss: "eviction", name: "trainJob", contender: trainJob("evicted-train-job") },
  { loss: "crash", name: "job", contender: job("crashing-job") },
  { loss: "crash", name: "trainJob", contender: trainJob("crashing-train-job") },
  { loss: "crash", name: "trainingRunByDefault", contender: trainingRun("crashing-training-run", {}) },
];

/** What is waited for of each that backs off: 10, 20 and 40 s, and what starting takes. */
const withinSeconds = 80;
/** More than one object makes anybody ask for. */
const rate = { requestsPerSecond: 500, burst: 500 } as const;

/** Seconds from each loss of a container until the next one ran, by kind of loss and by who had to bring it. */
export type PlainSeen = Readonly<Record<Loss, LossesSeen>>;
/** Of one kind. */
export type LossesSeen = Readonly<{
  prompt: ReadonlyMap<string, readonly number[]>;
  backingOff: ReadonlyMap<string, Lane>;
}>;

type Watch = Readonly<{
  signal: AbortSignal;
  report: (line: string) => void;
  /** Something else that has to be waited for, done while those who back off are. */
  meanwhile: (signal: AbortSignal) => Promise<void>;
}>;

/** Takes the plain container away from everybody, with the controllers of JobSet and Kubeflow Trainer beside the cluster. */
export async function losePlainContainers({ api, cluster }: Installation, watch: Watch): Promise<PlainSeen> {
  const { signal } = watch;
  const place = (name: string) => {
    return { api, kubeconfigPath: cluster.kubeconfigPath, directory: join(cluster.directory, name), signal };
  };
  await using controllers = new AsyncDisposableStack();
  const jobSets = await startJobSet({ ...place("jobset"), ...rate });
  controllers.defer(() => jobSets.stop());
  const trainJobs = await startKubeflowTrainer(place("kubeflow-trainer"));
  controllers.defer(() => trainJobs.stop());
  const contenders = [...prompt, ...backingOff].map(({ contender }) => contender);
  return await play(await Stage.set(contenders, { api, signal }), watch);
}

async function play(stage: Stage, { signal, report, meanwhile }: Watch): Promise<PlainSeen> {
  const interrupt = async ({ name, contender }: Named, how: Parameters<Stage["interrupt"]>[1]) => {
    const seconds = await stage.interrupt(contender, how);
    report(`${how.loss} of ${name}: the next container runs after ${seconds.toFixed(2)} s`);
    return seconds;
  };
  const promptly = async (loss: Loss) => {
    const seen = await inTurn(prompt, { rounds: losses[loss], interrupt: (one) => interrupt(one, { loss, signal }) });
    return new Map([...seen].map(([{ name }, seconds]) => [name, seconds]));
  };
  const [evicted, crashed] = [await promptly("eviction"), await promptly("crash")];
  const lanes = { eviction: new Map<string, Lane>(), crash: new Map<string, Lane>() };
  const waits = backingOff.map((one) => async (either: AbortSignal) => {
    const { loss, name } = one;
    const again = () => interrupt(one, { loss, signal: either });
    lanes[loss].set(name, await whileItFits({ times: losses[loss], withinSeconds }, again));
  });
  await beside(signal, [...waits, meanwhile]);
  return {
    eviction: { prompt: evicted, backingOff: lanes.eviction },
    crash: { prompt: crashed, backingOff: lanes.crash },
  };
}
