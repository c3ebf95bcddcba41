import type { Server } from "node:http";
import { join } from "node:path";
import { agentPort } from "@trainingrun/checkpoint/contract/agent-state.ts";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import type { Store } from "@trainingrun/checkpoint/store/store.ts";
import { deadlineAfter } from "./deadline.ts";
import { exitCodes } from "./exit-codes.ts";
import { takeUp } from "./restore.ts";
import { describe } from "./restore-command.ts";
import { listen } from "./serve/http.ts";
import { Keeper } from "./serve/keeper.ts";
import { knowledgeFrom } from "./serve/knowledge.ts";
import type { Mirror } from "./serve/mirror.ts";
import { Pace } from "./serve/pace.ts";
import { servedRecord } from "./serve/report.ts";
import { Reporter } from "./serve/reporter.ts";
import { VolumeCare } from "./serve/volume-care.ts";
import { openObjectStore } from "./stores.ts";
import { TerminationLog } from "./termination-log.ts";

const pollMs = 1_000;

/**
 * `agent serve`, the sidecar:
 *
 *     listen ─► restore (sdk) or take up what `restore` handed over ─► look, verify, report, prune … ─► SIGTERM
 *                     │ failed: verdict in the termination log, exit 1            verify the rest, `done`, record ◄┘
 */
export async function serveCommand(environment: AgentEnvironment, stop: AbortSignal): Promise<number> {
  const log = new TerminationLog(environment.TRAININGRUN_TERMINATION_LOG);
  const reporter = new Reporter(environment);
  let server: Server;
  try {
    server = await open(environment, reporter);
  } catch (error) {
    const where = `${environment.TRAININGRUN_POD_IP}:${agentPort}`;
    const message = `Cannot serve because ${where} must be free and an address of this pod: ${String(error)}`;
    console.error(message);
    log.writeText(message);
    return exitCodes.cannotListen;
  }
  try {
    return await restoreAndKeep(environment, { stop, log, reporter });
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

type Serving = Readonly<{ stop: AbortSignal; log: TerminationLog; reporter: Reporter }>;

async function restoreAndKeep(environment: AgentEnvironment, serving: Serving): Promise<number> {
  const { stop, log, reporter } = serving;
  const result = await takeUp(environment, stop);
  if (result.kind === "failed") {
    console.error(`The restore failed with ${result.record.failure}: ${result.record.message}`);
    log.write(result.record);
    return exitCodes.restoreFailed;
  }
  if (result.kind === "stopped") {
    log.write(servedRecord(environment, reporter.knowledge, null));
    return exitCodes.served;
  }
  console.log(describe(result.restored));
  const keeper = new Keeper({ ...result, environment, metrics: await reporter.counters() });
  const mirror = await startMirror(environment, { keeper, volume: result.store, reporter });
  const care = new VolumeCare(environment, result.store);
  await keep(environment, { ...serving, keeper, mirror, care });
  return exitCodes.served;
}

/** The mirror of a run that has an object store; it has not begun yet. */
async function startMirror(
  environment: AgentEnvironment,
  { keeper, volume, reporter }: { keeper: Keeper; volume: Store; reporter: Reporter },
): Promise<Mirror | null> {
  const settings = environment.TRAININGRUN_OBJECT_STORE;
  if (settings === undefined) return null;
  const { Mirror } = await import("./serve/mirror.ts");
  const mirror = new Mirror({
    environment,
    volume,
    open: (signal) => openObjectStore({ ...environment, TRAININGRUN_OBJECT_STORE: settings }, signal),
    source: () => keeper.source,
    metrics: await reporter.counters(),
    onDamaged: (digest) => keeper.doubt(digest),
    onFenced: (why) => keeper.fence(why),
  });
  reporter.mirror = () => mirror.state;
  return mirror;
}

type Keeping = Serving & Readonly<{ keeper: Keeper; mirror: Mirror | null; care: VolumeCare }>;

/** Looks at the volume whenever there may be something new, until the end; what it learns is on record at once. */
async function keep(environment: AgentEnvironment, serving: Keeping): Promise<void> {
  const { stop, log, reporter, keeper, mirror, care } = serving;
  const { signal: end, leftMs } = deadlineAfter(stop, environment);
  using pace = new Pace(
    [
      { directory: join(environment.TRAININGRUN_CHECKPOINTS, "log"), wakesFor: () => true },
      { directory: environment.TRAININGRUN_CONTROL, wakesFor: (name) => name === controlFiles.done },
    ],
    { pollMs },
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
    const durability = environment.TRAININGRUN_VOLUME;
    const problems = [...keeper.findings.problems, ...care.problems];
    reporter.knowledge = knowledgeFrom({ ...keeper.findings, problems, mirror, durability });
    log.write(servedRecord(environment, reporter.knowledge, await reporter.progress.read()));
  };
  const settled = () => keeper.settled && (mirror === null || mirror.settled);
  for (;;) {
    // What stood on the volume when the signal came is looked at once more after it.
    if (defect !== null) throw defect;
    const last = stop.aborted;
    if (last) mirror?.hurry({ leftMs: await leftMs() });
    await keeper.look({ signal: end, learned });
    await care.pointNames(keeper.findings);
    // After the signal every second is the next attempt's: what may go can be removed by its agent.
    if (!last) {
      await keeper.prune(end, mirror?.mirrored ?? null);
      await keeper.compact(end);
      await care.pauseSaving(keeper.findings);
      await care.foresee(
        keeper.findings,
        mirror && { mirrored: mirror.mirrored, isFailing: mirror.state.problem !== null },
      );
    }
    await learned();
    if (last && (settled() || end.aborted)) break;
    await pace.next(last ? end : stop);
  }
  over.abort();
  await mirroring;
  console.log(`The agent was stopped and has ${keeper.settled ? "" : "not "}verified everything.`);
  if (mirror !== null) console.log(describeMirror(mirror));
}

function describeMirror({ state }: Mirror): string {
  const { latestStep, lagSteps, lagBytes, problem } = state;
  const why = problem === null ? "" : `: ${problem.message}`;
  if (lagBytes === 0) return `The object store has all that it should have, up to step ${latestStep ?? 0}.`;
  return `The object store is ${lagSteps} steps and ${lagBytes} bytes behind${why}`;
}

function open(environment: AgentEnvironment, reporter: Reporter): Promise<Server> {
  return listen(reporter, { host: environment.TRAININGRUN_POD_IP, port: agentPort });
}
