import { setTimeout as wait } from "node:timers/promises";
import type { Installation } from "../harness/installation.ts";
import { RunAccess, until } from "../harness/run-access.ts";
import { conditionOf, type RunView } from "../harness/run-view.ts";
import { idleManifest, placed, trainingManifest } from "./manifests.ts";
import type { Blocked, ClusterRow, Ended, Stage, Undo } from "./row.ts";

/** What a run said of itself, once its row had been walked. */
export type Walked = Readonly<{
  row: ClusterRow;
  /** What the ledger or the condition says; why it did not come to that otherwise. */
  said: Readonly<{ cause: string; charge?: string; reason: string; exitCode?: number; message: string }>;
  met: boolean;
  seconds: number;
}>;

/** Where rows are walked: `spare` is the node that some of them take away, `kept` another one. */
export type Place = Readonly<{ installation: Installation; spare: string; kept: string; signal: AbortSignal }>;

/** Most take a few seconds; a kubelet counts what an emptyDir holds once a minute. */
const rowMs = 180_000;

/** Creates the row's run, does to it what the row says, and reads what the run says of that. Leaves the run deleted. */
export async function walkRow(row: ClusterRow, name: string, place: Place): Promise<Walked> {
  const beganAt = performance.now();
  const signal = AbortSignal.any([place.signal, AbortSignal.timeout(rowMs)]);
  const undos: Undo[] = [];
  try {
    const said = await walk(row, { name, ...place, signal, onUndo: (undo) => undos.unshift(undo) });
    return { row, said, met: isSaid(row.says, said), seconds: (performance.now() - beganAt) / 1000 };
  } catch (error) {
    place.signal.throwIfAborted();
    const message = error instanceof Error ? error.message : String(error);
    const said = { cause: "none", reason: "none", message };
    return { row, said, met: false, seconds: (performance.now() - beganAt) / 1000 };
  } finally {
    for (const undo of undos) await undo().catch((error: unknown) => console.error(`after ${row.way}:`, error));
  }
}

type Walk = Place & Readonly<{ name: string; onUndo: (undo: Undo) => void }>;

async function walk(row: ClusterRow, place: Walk): Promise<Walked["said"]> {
  const { installation, name, signal, onUndo } = place;
  const access = new RunAccess(installation.api, { namespace: row.ground === undefined ? "default" : name, name });
  onUndo(() => letGo(installation, access));
  await beginRow(row, access, place);
  const run = await access.waitFor(`its stage ${row.stage}`, signal, (seen) => isAt(row.stage, seen));
  if (row.deed !== undefined) {
    // So that a deed does not always meet the same instant of the operator's rhythm.
    await wait(Math.random() * 1_000, undefined, { signal });
    const undo = await row.deed({ installation, access, run, signal });
    if (undo !== undefined) onUndo(undo);
  }
  const after = await access.waitFor("what its row says", signal, (seen) => saidBy(row, seen) !== null);
  return saidBy(row, after) ?? { cause: "none", reason: "none", message: "" };
}

/** What of a row says how its run begins. */
export type Beginning = Pick<ClusterRow, "run"> & Partial<Pick<ClusterRow, "trains" | "lane" | "ground">>;

/** Creates the run of a row under a name, and the namespace with what the row has it hold where it is not there by itself. */
export async function beginRow(
  { run, trains = false, lane = "Shared", ground }: Beginning,
  access: RunAccess,
  { installation, spare, kept, signal }: Place,
): Promise<void> {
  const { namespace } = access.name;
  if (namespace !== "default") await makeNamespace(installation, namespace, signal);
  await ground?.({ installation, namespace, signal });
  const manifest = run(await (trains ? trainingManifest() : idleManifest()), kept);
  await access.create(placed(manifest, spare, lane === "Node" ? "There" : "Elsewhere"));
}

async function makeNamespace({ api }: Installation, name: string, signal: AbortSignal): Promise<void> {
  await api.expect("POST", "/api/v1/namespaces", { apiVersion: "v1", kind: "Namespace", metadata: { name } });
  // Pods are refused in a namespace without one.
  const account = `/api/v1/namespaces/${name}/serviceaccounts/default`;
  await until(`the service account of ${name}`, signal, async () => (await api.request("GET", account)).status === 200);
}

async function letGo({ kubectl }: Installation, { name: { name, namespace } }: RunAccess): Promise<void> {
  const gently = ["--ignore-not-found", "--wait=false"];
  await kubectl("delete", "trainingrun", name, `--namespace=${namespace}`, ...gently);
  if (namespace !== "default") await kubectl("delete", "namespace", namespace, ...gently);
}

/** Whether a run has come as far as a deed asks. */
export function isAt(stage: Stage, { status }: RunView): boolean {
  const [entry] = status.attempts;
  switch (stage) {
    case "Created":
      return true;
    case "Begun":
      return (entry?.pods.length ?? 0) > 0;
    case "Training":
      return entry?.firstStepTime !== undefined && entry.endTime === undefined && status.state === "Running";
    case "Saved":
      return status.checkpoints.length >= 2;
    default:
      return stage satisfies never;
  }
}

/** What a row's run says by now; null while it says nothing of the kind that the row waits for. */
export function saidBy(row: ClusterRow, run: RunView): Walked["said"] | null {
  if (row.says.cause === "Blocked") return saidOfBlock(row.says, run);
  const entry = run.status.attempts.find(({ number }) => number === (row.attempt ?? 1));
  if (entry?.cause === undefined) return null;
  const { cause, charge, reason = "", exitCode, message = "" } = entry;
  return {
    cause,
    ...(charge === undefined ? {} : { charge }),
    reason,
    ...(exitCode === undefined ? {} : { exitCode }),
    message,
  };
}

/** Conditions pass through others on their way, so only the one that is waited for counts. */
function saidOfBlock(says: Blocked, run: RunView): Walked["said"] | null {
  const condition = conditionOf(run, "Progressing");
  const { attempts, retry } = run.status;
  const isIt = condition?.status === "False" && says.reasons.includes(condition.reason);
  if (!isIt || !says.words.test(condition.message)) return null;
  const isFree = attempts.every(({ cause }) => cause === undefined) && (retry?.disruptions ?? 0) === 0;
  const { reason, message } = condition;
  return { cause: "Blocked", charge: isFree ? "Nothing" : "Something", reason, message };
}

/** Whether a run says what its row has it say. */
export function isSaid(says: Ended | Blocked, said: Walked["said"]): boolean {
  const charge = says.cause === "Blocked" ? "Nothing" : says.charge;
  const exitCode = says.cause === "Blocked" ? undefined : says.exitCode;
  return (
    said.cause === says.cause &&
    said.charge === charge &&
    says.reasons.includes(said.reason) &&
    (exitCode === undefined || exitCode === said.exitCode)
  );
}
