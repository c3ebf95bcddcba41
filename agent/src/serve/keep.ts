import { join } from "node:path";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { deadlineAfter } from "../deadline.ts";
import type { TerminationLog } from "../termination-log.ts";
import type { Keeper } from "./keeper.ts";
import { knowledgeFrom } from "./knowledge.ts";
import type { Mirror } from "./mirror.ts";
import { Pace } from "./pace.ts";
import { servedRecord } from "./report.ts";
import type { Reporter } from "./reporter.ts";
import type { VolumeCare } from "./volume-care.ts";

type Keeping = Readonly<{
  stop: AbortSignal;
  /** How often to look where nothing tells of a change. */
  lookMs: number;
  log: TerminationLog;
  reporter: Reporter;
  keeper: Keeper;
  mirror: Mirror | null;
  care: VolumeCare;
}>;

/**
 * Looks at the volume whenever there may be something new, until the pod is stopped, or until another pod holds the log:
 * then nothing that this one could still do is anybody's. What it learns is on record at once.
 */
export async function keep(environment: AgentEnvironment, serving: Keeping): Promise<"served" | "fenced"> {
  const { stop, lookMs, log, reporter, keeper, mirror, care } = serving;
  const { signal: end, leftMs } = deadlineAfter(stop, environment);
  using pace = new Pace(
    [
      { directory: join(environment.TRAININGRUN_CHECKPOINTS, "log"), wakesFor: () => true },
      { directory: environment.TRAININGRUN_CONTROL, wakesFor: (name) => name === controlFiles.done },
    ],
    { pollMs: lookMs },
  );
  const over = new AbortController();
  let defect: unknown = null;
  const mirroring = mirror
    ?.run(AbortSignal.any([end, over.signal]), { changed: () => pace.wake() })
    .catch((error: unknown) => {
      defect = error;
      pace.wake();
    });
  const learned = async () => {
    mirror?.wake();
    const progress = await reporter.progress.read();
    const durability = environment.TRAININGRUN_VOLUME;
    const problems = [...keeper.findings.problems, ...care.problems];
    // Told and on record in one turn: nobody hears of a verdict that a kill at this moment would take back.
    reporter.knowledge = knowledgeFrom({ ...keeper.findings, problems, mirror, durability });
    log.write(servedRecord(environment, reporter.knowledge, progress));
  };
  const settled = () => keeper.settled && (mirror === null || mirror.settled);
  for (;;) {
    // What stood on the volume when the signal came is looked at once more after it.
    if (defect !== null) throw defect;
    const last = stop.aborted;
    if (last) mirror?.hurry({ leftMs: await leftMs() });
    await keeper.look({ signal: end, leisure: stop, learned });
    await care.pointNames(keeper.findings);
    // After the signal every second is the next attempt's: what may go can be removed by its agent.
    if (!last) {
      // Nobody knows what may go until the store was read, or counts as away, which it soon does.
      if (mirror?.proven !== null) await keeper.prune(end, mirror?.proven ?? null);
      await keeper.compact(end);
      await care.pauseSaving(keeper.findings);
      await care.foresee(
        keeper.findings,
        mirror && { mirrored: mirror.mirrored ?? new Set(), isFailing: mirror.state.problem !== null },
      );
    }
    await learned();
    if (keeper.isFenced || (last && (settled() || end.aborted))) break;
    await pace.next(last ? end : stop);
  }
  over.abort();
  await mirroring;
  // What the mirror brought to its end after the last look, such as `done`, is known to no one else.
  await learned();
  // Whoever was told to stop has done so, whatever came to light meanwhile.
  if (keeper.isFenced && !stop.aborted) return "fenced";
  console.log(`The agent was stopped and has ${keeper.settled ? "" : "not "}verified everything.`);
  if (mirror !== null) console.log(describeMirror(mirror));
  return "served";
}

function describeMirror({ state }: Mirror): string {
  const { latestStep, lagSteps, lagBytes, problem } = state;
  const why = problem === null ? "" : `: ${problem.message}`;
  if (lagBytes === 0) return `The object store has all that it should have, up to step ${latestStep ?? 0}.`;
  return `The object store is ${lagSteps} steps and ${lagBytes} bytes behind${why}`;
}
