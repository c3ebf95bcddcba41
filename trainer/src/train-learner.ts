// First: its signal handlers must stand before anything else is loaded.
import "./stop.ts";

import { join, resolve } from "node:path";
import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import type { ResumeReport } from "@trainingrun/checkpoint/contract/resume.ts";
import { listsAllNonFinite } from "@trainingrun/checkpoint/health.ts";
import type { BestPolicy } from "./best.ts";
import { answerDumpRequests } from "./diagnostics/answer-dump-requests.ts";
import { lastSave } from "./end-of-training.ts";
import { endDone, endFenced, endIncompatible, endPreempted, endPreemptedEarly, type TrainResult } from "./endings.ts";
import { collectEnvironment, type EnvironmentFacts } from "./environment-facts.ts";
import { uploadRate } from "./final-save-upload.ts";
import { weightsDigest } from "./final-weights.ts";
import { nonFiniteTensors } from "./health.ts";
import { lastSaveSecondsOf } from "./interval.ts";
import { IncompatibleError, type Learner } from "./learner.ts";
import type { MetricValues } from "./metric-values.ts";
import { Pacer } from "./pacer.ts";
import { bestAt, type LocalOptions, type Place, readPlace } from "./place.ts";
import { ProgressFile } from "./progress-file.ts";
import { leaveRecordOnStop, type Standing } from "./provisional-record.ts";
import { derivedSeed, isSeed } from "./random.ts";
import { Replay } from "./replay/replay.ts";
import { type Resumed, type Resuming, resumeFrom } from "./resume.ts";
import { readResumePolicy } from "./resume-policy.ts";
import { RetentionAtHand } from "./retention-at-hand.ts";
import { reportSavesInFlight } from "./save-progress.ts";
import { type CommittedCheckpoint, Saver } from "./saver.ts";
import { writerThread } from "./saving/start-writer.ts";
import { say } from "./say.ts";
import { findStartingPoint, type StartingPoint } from "./starting-point.ts";
import { stop } from "./stop.ts";
import { EventWriter } from "./tensorboard/event-writer.ts";
import { type BatchSource, type Evaluation, TrainingLoop } from "./training-loop.ts";

/** What to train, for how long, and how; see {@link trainLearner}. */
export type TrainLearnerOptions<Data> = {
  /** Made while the restore is at work in the agent: importing a framework takes as long as reading a checkpoint. */
  readonly learner: () => Promise<Learner<Data>> | Learner<Data>;
  readonly data: BatchSource<Data> & { digest(): Digest };
  /** The step to reach; a run that has reached it is done. */
  readonly steps: number;
  /** Decides every random number of the run; below 2^32. */
  readonly seed: number;
  readonly every?: Evaluation | undefined;
  readonly best?: BestPolicy | undefined;
  /** A step takes at least this long: for demonstrations, and to share a device. */
  readonly minStepMilliseconds?: number | undefined;
  /** For training at hand; in a pod the TrainingRun decides. */
  readonly local?: LocalOptions | undefined;
  readonly onStep?: ((step: number, metrics: MetricValues) => void) | undefined;
  /** Whether losses and evaluations are written for TensorBoard, in `tensorboard/` of the checkpoints; true if absent. */
  readonly tensorboard?: boolean | undefined;
};

/** Names the stream of random numbers that steps draw from among the uses of one seed. */
const stepStream = 2;

/**
 * Trains from wherever the run stands to its last step, and leaves a final checkpoint. Resolves only when the run is
 * done: a stop, a checkpoint that does not fit, and a newer attempt end the process, with the codes of exit-codes.ts.
 */
export async function trainLearner<Data>(options: TrainLearnerOptions<Data>): Promise<TrainResult> {
  checkOptions(options);
  const place = readPlace(process.env, options.local ?? {});
  let standing = (): Standing => ({ attempt: place.kind === "pod" ? place.attempt : 1, step: 0, saved: null });
  leaveRecordOnStop(place, stop, () => standing());
  answerDumpRequests(place);
  const finding = findStartingPoint(place, stop.signal);
  // Awaited below; until then a restore that fails must not count as an unhandled rejection.
  finding.catch(() => undefined);
  const learner = await options.learner();
  const start = await unlessStopped(finding);
  const endEarly = () => endPreemptedEarly(place, { start, sinceMs: stop.notBeforeMs ?? performance.now() });
  if (start === null) return endEarly();
  const { attempt } = start;
  standing = () => ({ attempt, step: start.resume?.step ?? 0, saved: start.resume });
  const policy = readResumePolicy(place, process.env, options.local?.resume);
  const environment = environmentOf(learner, options);
  const resumed = await resume(place, start, { learner, data: options.data, policy, environment, signal: stop.signal });
  if (resumed === "stopped") return endEarly();
  say(`attempt ${attempt} on ${learner.backend}, from step ${start.resume?.step ?? 0} to ${options.steps}`);
  const replay = await startReplay(place, start, { learner, steps: policy.replaySteps });

  const { loop, saver, pacer, progress, events, retention } = assemble({
    place,
    start,
    learner,
    options,
    environment,
    resumed,
    replay,
  });
  standing = () => ({ attempt, step: loop.step, saved: saver.last });
  const report = () => progress.write(performance.now(), loop.progress());
  using _reporting = reportSavesInFlight(place, saver, report);
  const letGo = (error: unknown) => {
    // Nobody copies its values out any more, and a script that catches this would wait for it.
    saver.leave("the training ended with an error");
    throw error;
  };
  // Closed while the last save is at work; awaited when the record stands.
  const outcome = await loop
    .run()
    .catch(letGo)
    .finally(() => void events?.close());
  pacer.release();
  report();
  const run = { step: loop.step, saver, outdated: loop.outdated, saveRequest: () => loop.saveRequest() };
  const end = await lastSave(place, outcome, run);
  if (end.kind === "fenced") return endFenced(saver.fence);
  report();
  const { step, metrics } = loop;
  if (end.kind === "done") {
    const sinceMs = stop.notBeforeMs;
    const result = await endDone(place, { start, step, metrics, learner, saved: end.saved, sinceMs, events });
    // A script that goes on has no use for the thread that writes checkpoints.
    await saver.close();
    // What it looks for under `latest` and `best` is there.
    await retention?.settled;
    return result;
  }
  const sinceMs = stop.notBeforeMs ?? performance.now();
  return endPreempted(place, { attempt, step, save: end.save, sinceMs, events });
}

type Assembly<Data> = {
  place: Place;
  start: StartingPoint;
  learner: Learner<Data>;
  options: TrainLearnerOptions<Data>;
  environment: EnvironmentFacts;
  resumed: Resumed | null;
  replay: Replay | null;
};

function assemble<Data>({ place, start, learner, options, environment, resumed, replay }: Assembly<Data>) {
  const pacer = new Pacer();
  const retention = place.kind === "local" ? new RetentionAtHand(start, options.best) : null;
  const saver = new Saver(
    {
      store: start.store,
      writer: writerThread({ root: resolve(place.checkpoints), runUid: place.runUid }),
      attempt: start.attempt,
      parent: start.resume?.digest ?? null,
      nonFiniteBefore: nonFiniteBefore(learner, resumed),
      environment,
      pacer,
      afterCommit: (checkpoint: CommittedCheckpoint) => {
        replay?.committed(checkpoint);
        retention?.afterCommit(checkpoint);
      },
    },
    start.resume,
  );
  const progress = new ProgressFile(place);
  const events = openEvents(place, { start, options });
  const parts = {
    learner,
    data: options.data,
    steps: options.steps,
    every: options.every,
    best: bestAt(place, options.best),
    minStepMilliseconds: options.minStepMilliseconds ?? 0,
    interval: place.interval,
    grace: { seconds: place.graceSeconds, lastSaveSeconds: () => lastSaveSeconds(place, saver) },
    saver,
    pacer,
    progress,
    events,
    signal: stop.signal,
    onStep: options.onStep,
    afterStep: (step: number, loss: number) =>
      replay?.afterStep({ step, loss, savingStep: saver.inFlight?.step ?? null }),
    resumeReport: () => reportOf(resumed, replay),
  };
  const begin = resumed === null ? { seed: derivedSeed(options.seed, stepStream) } : { state: resumed.state };
  return { loop: new TrainingLoop(parts, begin), saver, pacer, progress, events, retention };
}

function lastSaveSeconds(place: Place, { counts, bytesPerSecond }: Saver): number | null {
  const uploadBytesPerSecond = uploadRate(place);
  return lastSaveSecondsOf({ bytes: counts.lastBytes, bytesPerSecond, uploadBytesPerSecond });
}

/** In a gang the first worker writes for all. */
function openEvents(
  place: Place,
  { start, options }: { start: StartingPoint; options: Pick<TrainLearnerOptions<never>, "steps" | "tensorboard"> },
): EventWriter | undefined {
  if (options.tensorboard === false || (place.kind === "pod" && place.worker !== 0)) return undefined;
  return new EventWriter({
    directory: join(place.checkpoints, "tensorboard"),
    attempt: start.attempt,
    step: start.resume?.step ?? 0,
    steps: options.steps,
    report: say,
  });
}

/**
 * A mask full of -infinity is what the script wants: only what training makes of other tensors is unhealthy. A resumed
 * learner holds the checkpoint's tensors by now, so it can be asked where the manifest had no room for all names.
 */
function nonFiniteBefore(learner: Learner<never>, resumed: Resumed | null): readonly string[] {
  if (resumed !== null && listsAllNonFinite(resumed.health)) return resumed.health.nonFinite;
  const { weights, optimizerTensors } = learner.snapshot();
  const held = [...weights, ...optimizerTensors];
  const found = nonFiniteTensors(held);
  for (const tensor of held) tensor.release();
  return found;
}

/** Goes on from the checkpoint, or ends the process where that cannot be. */
async function resume<Data>(
  place: Place,
  start: StartingPoint,
  resuming: Resuming<Data>,
): Promise<Resumed | "stopped" | null> {
  if (start.resume === null) return null;
  try {
    return await resumeFrom(start.resume, resuming);
  } catch (error) {
    if (error instanceof IncompatibleError) return endIncompatible(place, { start, error });
    if (stop.signal.aborted && error === stop.signal.reason) return "stopped";
    throw error;
  }
}

function environmentOf<Data>(
  { backend, environment, config }: Learner<Data>,
  { data, steps, seed }: Pick<TrainLearnerOptions<Data>, "data" | "steps" | "seed">,
): EnvironmentFacts {
  const { batchSize, cursor } = data;
  const { permutationSeed } = cursor;
  const training = { ...(batchSize === undefined ? {} : { batchSize }), seed, permutationSeed, steps };
  return collectEnvironment({ backend, environment, config, dataset: data.digest(), training });
}

/** In a gang the first worker records for all. Null where no step is to be recorded. */
async function startReplay(
  place: Place,
  start: StartingPoint,
  { learner, steps }: { learner: Learner<never>; steps: number },
): Promise<Replay | null> {
  if (steps === 0 || (place.kind === "pod" && place.worker !== 0)) return null;
  const { attempt, resume: base } = start;
  const weights = () => presentWeights(learner);
  return Replay.start({ steps, checkpoints: place.checkpoints, attempt, base, weights, report: say });
}

function presentWeights(learner: Learner<never>): Digest {
  const { weights, optimizerTensors } = learner.snapshot();
  const digest = weightsDigest(weights);
  for (const tensor of [...weights, ...optimizerTensors]) tensor.release();
  return digest;
}

function reportOf(resumed: Resumed | null, replay: Replay | null): ResumeReport | null {
  if (resumed === null) return null;
  const verdict = replay?.verdict ?? null;
  return { ...resumed.report, ...(verdict === null ? {} : { replay: verdict }) };
}

/** Null where the wait ended because a stop was asked for. */
async function unlessStopped(finding: Promise<StartingPoint>): Promise<StartingPoint | null> {
  try {
    return await finding;
  } catch (error) {
    if (stop.signal.aborted) return null;
    throw error;
  }
}

function checkOptions({ steps, seed, every }: Pick<TrainLearnerOptions<unknown>, "steps" | "seed" | "every">): void {
  const rules: [boolean, string][] = [
    [Number.isInteger(steps) && steps >= 1, `steps must be a whole number above 0: ${steps}`],
    [isSeed(seed), `seed must be a whole number from 0 to 2^32 - 1: ${seed}`],
    [
      every === undefined || (Number.isInteger(every.steps) && every.steps >= 1),
      `every.steps must be a whole number above 0: ${every?.steps}`,
    ],
  ];
  const broken = rules.find(([holds]) => !holds);
  if (broken !== undefined) throw new RangeError(`Cannot train because ${broken[1]}.`);
}
