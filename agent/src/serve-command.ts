import type { Server } from "node:http";
import { join } from "node:path";
import { agentPort } from "@trainingrun/checkpoint/contract/agent-state.ts";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import type { Store } from "@trainingrun/checkpoint/store/store.ts";
import { writeAtomically } from "./control-directory.ts";
import { exitCodes } from "./exit-codes.ts";
import { type RestoreResult, takeUp } from "./restore.ts";
import { describe } from "./restore-command.ts";
import { accompany } from "./serve/accompany.ts";
import { gatherShards } from "./serve/gather.ts";
import { listen } from "./serve/http.ts";
import { keep } from "./serve/keep.ts";
import { Keeper } from "./serve/keeper.ts";
import type { OpenMirror } from "./serve/keeper-mending.ts";
import { nothingKnown } from "./serve/knowledge.ts";
import type { Mirror } from "./serve/mirror.ts";
import { servedRecord } from "./serve/report.ts";
import { Reporter } from "./serve/reporter.ts";
import { VerifiedDigests } from "./serve/verified-digests.ts";
import { VolumeCare } from "./serve/volume-care.ts";
import { watchForStalls } from "./serve/watch-stalls.ts";
import { openObjectStore, readOnlyObjectStore } from "./stores.ts";
import { TerminationLog } from "./termination-log.ts";

/**
 * `agent serve`, the sidecar:
 *
 *     listen ─► restore (sdk) or take up what `restore` handed over ─► look, verify, report, prune … ─► SIGTERM
 *                     │ failed: verdict in the termination log, exit 1      │     verify the rest, `done`, record ◄┘
 *                                                                           └ another pod has opened the log: exit 4
 */
export async function serveCommand(
  environment: AgentEnvironment,
  stop: AbortSignal,
  { lookMs = 1_000 }: Rhythm = {},
): Promise<number> {
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
    return await restoreAndKeep(environment, { stop, lookMs, log, reporter });
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

/** How often the agent looks at what it keeps where nothing tells it of a change. */
type Rhythm = Readonly<{ lookMs?: number }>;

type Serving = Required<Rhythm> & Readonly<{ stop: AbortSignal; log: TerminationLog; reporter: Reporter }>;

async function restoreAndKeep(environment: AgentEnvironment, serving: Serving): Promise<number> {
  const { stop, log, reporter } = serving;
  const onWait = (message: string) => {
    console.log(message);
    reporter.knowledge = { ...nothingKnown, problems: [{ reason: "WaitsForWorker0", message }] };
  };
  const result = await takeUp(environment, stop, onWait);
  if (result.kind === "failed") {
    console.error(`The restore failed with ${result.record.failure}: ${result.record.message}`);
    log.write(result.record);
    if (result.record.failure === "Fenced") await tellTrainer(environment);
    return exitCodes.restoreFailed;
  }
  if (result.kind === "stopped") {
    log.write(servedRecord(environment, reporter.knowledge, null));
    return exitCodes.served;
  }
  console.log(describe(result.restored));
  const over = new AbortController();
  const watching = watchForStalls(environment, { reporter, signal: AbortSignal.any([stop, over.signal]) });
  try {
    const isFirst = environment.TRAININGRUN_WORKER === 0;
    const { restored, store } = result;
    const end = await (isFirst
      ? keepAll(environment, { ...serving, result })
      : accompany(environment, { ...serving, restored, store }));
    if (end === "fenced") await tellTrainer(environment);
    return exitCodes[end];
  } finally {
    over.abort();
    await watching;
  }
}

/** The trainer of a pod that is cut off trains on for ever where nobody tells it, and no kubelet may be there to end it. */
async function tellTrainer(environment: AgentEnvironment): Promise<void> {
  const { TRAININGRUN_ATTEMPT: attempt, TRAININGRUN_CONTROL: control } = environment;
  const words = `Another pod holds the log of the run, and nothing that this pod of attempt ${attempt} still does counts.\n`;
  const path = join(control, controlFiles.fenced);
  await writeAtomically(path, words).catch((error: unknown) => {
    console.error(`Cannot tell the trainer by ${path} that another pod holds the log: ${String(error)}`);
  });
}

/** What the one pod does that appends to the log: a single one, or worker 0 of a gang. */
async function keepAll(
  environment: AgentEnvironment,
  serving: Serving & Readonly<{ result: Extract<RestoreResult, { kind: "restored" }> }>,
): Promise<"served" | "fenced"> {
  const { lookMs, reporter, result } = serving;
  const verified = await VerifiedDigests.known(environment, result.restored);
  const openMirror = mirrorReader(environment);
  const keeper = new Keeper({ ...result, environment, verified, openMirror, metrics: await reporter.counters() });
  const mirror = await startMirror(environment, { keeper, volume: result.store, reporter, lookMs });
  reporter.fences = () => mirror?.fences ?? result.fences;
  const care = new VolumeCare(environment, result.store);
  const over = new AbortController();
  // Also while the pod is being stopped: that is when the last shards come.
  const gathering = gatherShards(environment, { keeper, signal: over.signal });
  try {
    return await keep(environment, { ...serving, keeper, mirror, care });
  } finally {
    over.abort();
    await gathering;
  }
}

/** How the keeper asks the object store for bytes: beside the mirror, whose requests may be broken off at any time. */
function mirrorReader(environment: AgentEnvironment): OpenMirror | null {
  const settings = environment.TRAININGRUN_OBJECT_STORE;
  if (settings === undefined) return null;
  return (signal) => readOnlyObjectStore({ ...environment, TRAININGRUN_OBJECT_STORE: settings }, signal);
}

/** The mirror of a run that has an object store; it has not begun yet. */
async function startMirror(
  environment: AgentEnvironment,
  { keeper, volume, reporter, lookMs }: { keeper: Keeper; volume: Store; reporter: Reporter; lookMs: number },
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
    lookMs,
  });
  reporter.mirror = () => mirror.state;
  return mirror;
}

function open(environment: AgentEnvironment, reporter: Reporter): Promise<Server> {
  return listen(reporter, { host: environment.TRAININGRUN_POD_IP, port: agentPort });
}
