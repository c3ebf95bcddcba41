import { join } from "node:path";
import type { RefusedSummary } from "@trainingrun/checkpoint/contract/checkpoint-summary.ts";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { Restored } from "@trainingrun/checkpoint/contract/restored.ts";
import { AgentRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { followRun } from "@trainingrun/checkpoint/follow.ts";
import { type RestoreOutcome, restoreRun } from "@trainingrun/checkpoint/restore.ts";
import { DirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { errorCode } from "@trainingrun/checkpoint/store/file-system.ts";
import { DamagedFileError, StorageUnavailableError } from "@trainingrun/checkpoint/store/store.ts";
import { loadBase } from "./base-to-take.ts";
import { readControlFile, writeAtomically } from "./control-directory.ts";
import { environmentRefusal } from "./environment-check.ts";
import { ForkStores } from "./fork-stores.ts";
import { otherGangSize, unsharedVolume } from "./gang.ts";
import { pointResumeAt } from "./resume-link.ts";
import { openObjectStore, openVolume } from "./stores.ts";

export type RestoreFailed = Extract<AgentRecord, { kind: "restore-failed" }>;

/** Whether the object store keeps two pods from creating one key; undefined where it was not asked, or there is none. */
type ObjectStoreFences = boolean | undefined;

/** How a restore ended; `stopped` means that it was told to stop and that nothing had changed by then. */
export type RestoreResult =
  | Readonly<{ kind: "restored"; restored: Restored; store: DirectoryStore; fences: ObjectStoreFences }>
  | Readonly<{ kind: "failed"; record: RestoreFailed }>
  | Readonly<{ kind: "stopped" }>;

/** What an attempt resumes from. */
type Base = NonNullable<Restored["resume"]>;

/** Hears in words what a restore waits for. */
type OnWait = (message: string) => void;

/** What a store means that creates a key twice. */
const withoutFence =
  "The object store does not honour If-None-Match: a pod that was cut off may still write to its log there, and only the volume fences it.";

/**
 * Chooses the newest checkpoint whose bytes this process has matched (I2), opens the attempt in the log, and hands over:
 *
 *     verify candidates ─► it fits? ─► `open` in the log ─► resume link ─► control/restored ─► the trainer may start
 *
 * Before `open` nothing has changed: an attempt that cannot begin leaves no trace in the history. After it, a restart in
 * the same pod finds its own `open` and does the rest. A failed verdict is kept in the control directory, so that a
 * restarted container repeats it instead of judging again.
 * The other workers of a gang wait for worker 0's `open`, and match its base in their own pods.
 */
export async function restore(
  environment: AgentEnvironment,
  stop: AbortSignal,
  onWait: OnWait = () => {},
): Promise<RestoreResult> {
  const earlier = await readControlFile(verdictPath(environment), AgentRecord);
  if (earlier?.kind === "restore-failed" && earlier.attempt === environment.TRAININGRUN_ATTEMPT) {
    return { kind: "failed", record: earlier };
  }
  const unshared = unsharedVolume(environment);
  if (unshared !== null) return fail(environment, { failure: "Incompatible", message: unshared, refused: [] });
  try {
    return await judge(environment, { stop, onWait });
  } catch (error) {
    if (stop.aborted) return { kind: "stopped" };
    return fail(environment, { ...judgeError(environment, error), refused: [] });
  }
}

/**
 * What `serve` begins with. A container of this pod may have handed over before: the `restore` of a foreign framework,
 * or an earlier life of the sidecar. Its `open` stands in the log, so nothing is judged again; nor is the volume proven
 * again: training goes on by itself, and a failed restore in its midst would only end it.
 */
export async function takeUp(
  environment: AgentEnvironment,
  stop: AbortSignal,
  onWait: OnWait = () => {},
): Promise<RestoreResult> {
  const { TRAININGRUN_CHECKPOINTS: root, TRAININGRUN_UID: runUid, TRAININGRUN_FRAMEWORK: framework } = environment;
  const restored = await handedOver(environment);
  if (restored !== null)
    return { kind: "restored", restored, store: new DirectoryStore(root, runUid), fences: undefined };
  if (framework === "sdk") return restore(environment, stop, onWait);
  const message = `Cannot serve because the restore of this pod leaves ${handoverPath(environment)}: it is not there`;
  return {
    kind: "failed",
    record: failureRecord(environment, { failure: "StorageUnavailable", message, refused: [] }),
  };
}

async function handedOver(environment: AgentEnvironment): Promise<Restored | null> {
  const restored = await readControlFile(handoverPath(environment), Restored);
  if (restored?.podUid !== environment.TRAININGRUN_POD_UID) return null;
  return restored.attempt === environment.TRAININGRUN_ATTEMPT ? restored : null;
}

type Judging = Readonly<{ stop: AbortSignal; onWait: OnWait }>;

async function judge(environment: AgentEnvironment, { stop, onWait }: Judging): Promise<RestoreResult> {
  const store = await openVolume(environment);
  const { outcome, fences } =
    environment.TRAININGRUN_WORKER === 0
      ? await chooseAndOpen(environment, store, stop)
      : { outcome: await follow(environment, store, { stop, onWait }), fences: undefined };
  for (const warning of outcome.warnings) console.warn(warning);
  if (outcome.kind === "failed") return fail(environment, outcome);
  const { restored } = outcome;
  await pointResumeAt(environment.TRAININGRUN_RESUME, restored.resume?.directory ?? null);
  await writeAtomically(handoverPath(environment), JSON.stringify(restored));
  return { kind: "restored", restored, store, fences };
}

type Chosen = Readonly<{ outcome: RestoreOutcome; fences: ObjectStoreFences }>;

/** What a single pod does, and worker 0 of a gang on behalf of the others. */
async function chooseAndOpen(environment: AgentEnvironment, store: DirectoryStore, stop: AbortSignal): Promise<Chosen> {
  const { TRAININGRUN_OBJECT_STORE: settings } = environment;
  const objectStore =
    settings === undefined ? null : await openObjectStore({ ...environment, TRAININGRUN_OBJECT_STORE: settings }, stop);
  if (objectStore?.fences === false) console.warn(withoutFence);
  using source = new ForkStores(environment, stop);
  const outcome = await restoreRun(store, {
    ...whoIs(environment),
    generation: environment.TRAININGRUN_GENERATION,
    expected: environment.TRAININGRUN_EXPECTED,
    objectStore,
    openSource: (fork) => source.open(fork),
    mayTake: (chosen) => refusalOf(environment, chosen),
    signal: stop,
  }).finally(() => objectStore?.close());
  return { outcome, fences: objectStore?.fences };
}

/** What the other workers of a gang do: each has its own part of the checkpoint, and its own environment. */
async function follow(environment: AgentEnvironment, store: DirectoryStore, judging: Judging): Promise<RestoreOutcome> {
  const { stop, onWait } = judging;
  const outcome = await followRun(store, { ...whoIs(environment), onWait, signal: stop });
  if (outcome.kind === "failed" || outcome.restored.resume === null) return outcome;
  const message = await refusalOf(environment, outcome.restored.resume);
  if (message === null) return outcome;
  const { restored, warnings } = outcome;
  return { kind: "failed", failure: "Incompatible", message, refused: restored.refused, warnings };
}

function whoIs(environment: AgentEnvironment) {
  return {
    runUid: environment.TRAININGRUN_UID,
    attempt: environment.TRAININGRUN_ATTEMPT,
    podUid: environment.TRAININGRUN_POD_UID,
    node: environment.TRAININGRUN_NODE,
  };
}

/** Why the attempt must not begin with that checkpoint, or null where it may. */
async function refusalOf(environment: AgentEnvironment, chosen: Base): Promise<string | null> {
  const loaded = await loadBase(chosen);
  if (loaded === null) return null;
  return otherGangSize(environment, loaded.manifest) ?? (await environmentRefusal(environment, loaded));
}

type Judgement = Pick<RestoreFailed, "failure" | "problem" | "fencedBy" | "message">;
type Verdict = Readonly<Judgement & { refused: readonly RefusedSummary[] }>;

async function fail(environment: AgentEnvironment, verdict: Verdict): Promise<RestoreResult> {
  const record = failureRecord(environment, verdict);
  try {
    await writeAtomically(verdictPath(environment), JSON.stringify(record));
  } catch (error) {
    // A restarted container will judge again, which is slower and comes to the same.
    console.error(`Cannot keep the verdict in ${verdictPath(environment)} for a restarted container`, error);
  }
  return { kind: "failed", record };
}

function failureRecord(environment: AgentEnvironment, verdict: Verdict): RestoreFailed {
  const { failure, problem, fencedBy, message, refused } = verdict;
  return {
    kind: "restore-failed",
    attempt: environment.TRAININGRUN_ATTEMPT,
    failure,
    ...(problem === undefined ? {} : { problem }),
    ...(fencedBy === undefined ? {} : { fencedBy }),
    message: message.slice(0, 1024),
    refused: refused.slice(0, 4),
  };
}

function verdictPath(environment: AgentEnvironment): string {
  return join(environment.TRAININGRUN_CONTROL, controlFiles.restoreFailed);
}

function handoverPath(environment: AgentEnvironment): string {
  return join(environment.TRAININGRUN_CONTROL, controlFiles.restored);
}

/** Whether the volume or this program is to blame: a volume may heal by itself, a defect does not. */
function judgeError(environment: AgentEnvironment, error: unknown): Judgement {
  if (error instanceof StorageUnavailableError || error instanceof DamagedFileError) {
    const problem = error instanceof StorageUnavailableError ? error.problem : null;
    return { failure: "StorageUnavailable", ...(problem === null ? {} : { problem }), message: error.message };
  }
  if (errorCode(error) === undefined) {
    console.error(error);
    const message = `Cannot restore because of a defect of the agent, whose log has the trace (report it): ${String(error)}`;
    return { failure: "AgentDefect", message };
  }
  const { TRAININGRUN_CHECKPOINTS: volume, TRAININGRUN_CONTROL: control } = environment;
  const message = `Cannot restore because ${volume} and ${control} must be readable and writable: ${String(error)}`;
  return { failure: "StorageUnavailable", message };
}
