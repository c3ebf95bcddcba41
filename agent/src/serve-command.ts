import type { Server } from "node:http";
import { join } from "node:path";
import { agentPort } from "@trainingrun/checkpoint/contract/agent-state.ts";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { TrainerRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { readControlFile } from "./control-directory.ts";
import { exitCodes } from "./exit-codes.ts";
import { graceLeftMs } from "./grace.ts";
import { takeUp } from "./restore.ts";
import { describe } from "./restore-command.ts";
import { listen } from "./serve/http.ts";
import { Keeper } from "./serve/keeper.ts";
import { Pace } from "./serve/pace.ts";
import { servedRecord } from "./serve/report.ts";
import { Reporter } from "./serve/reporter.ts";
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
  await keep(environment, { ...serving, keeper });
  return exitCodes.served;
}

/** Looks at the volume whenever there may be something new, until the end; what it learns is on record at once. */
async function keep(environment: AgentEnvironment, serving: Serving & { keeper: Keeper }): Promise<void> {
  const { stop, log, reporter, keeper } = serving;
  const end = deadlineAfter(stop, environment);
  using pace = new Pace(
    [
      { directory: join(environment.TRAININGRUN_CHECKPOINTS, "log"), wakesFor: () => true },
      { directory: environment.TRAININGRUN_CONTROL, wakesFor: (name) => name === controlFiles.done },
    ],
    { pollMs },
  );
  const learned = async () => {
    reporter.knowledge = keeper.knowledge;
    log.write(servedRecord(environment, keeper.knowledge, await reporter.progress.read()));
  };
  for (;;) {
    // What stood on the volume when the signal came is looked at once more after it.
    const last = stop.aborted;
    await keeper.look({ signal: end, learned });
    // After the signal every second is the next attempt's: what may go can be removed by its agent.
    if (!last) {
      await keeper.prune(end);
      await keeper.compact(end);
    }
    await learned();
    if (last && (keeper.settled || end.aborted)) break;
    await pace.next(last ? end : stop);
  }
  console.log(`The agent was stopped and has ${keeper.settled ? "" : "not "}verified everything.`);
}

function open(environment: AgentEnvironment, reporter: Reporter): Promise<Server> {
  return listen(reporter, { host: environment.TRAININGRUN_POD_IP, port: agentPort });
}

/** A signal that is aborted when the time that SIGTERM leaves is over. */
function deadlineAfter(stop: AbortSignal, environment: AgentEnvironment): AbortSignal {
  const end = new AbortController();
  const begin = async () => {
    const preempted = await readControlFile(
      join(environment.TRAININGRUN_CONTROL, controlFiles.preempted),
      TrainerRecord,
    );
    setTimeout(() => end.abort(), graceLeftMs(environment.TRAININGRUN_GRACE_SECONDS, preempted)).unref();
  };
  if (stop.aborted) void begin();
  else stop.addEventListener("abort", () => void begin(), { once: true });
  return end.signal;
}
