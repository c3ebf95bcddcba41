import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { clusterMark } from "./cluster-directory.ts";
import { type ClusterState, readState, type Way, writeState } from "./cluster-state.ts";
import { ComponentFailed } from "./processes/child.ts";
import { logTail } from "./processes/log-tail.ts";
import { identify, isAlive } from "./processes/process-identity.ts";

const readyTimeoutMs = 180_000;
const word = "go";

/**
 * Starts a cluster's supervisor, which goes on when this process ends. It does nothing until it hears from us, and we
 * write down who it is before: a supervisor that has started anything can be found and ended, whoever is killed when.
 */
export async function startSupervisor(directory: string, way: Way): Promise<void> {
  const log = openSync(supervisorLog(directory), "a");
  const program = join(import.meta.dirname, "supervisor.ts");
  const mark = clusterMark(directory);
  const child = spawn(process.execPath, [program, directory], {
    detached: true,
    stdio: ["pipe", log, log],
    env: { ...process.env, [mark.name]: mark.value },
  });
  closeSync(log);
  await once(child, "spawn");
  const supervisor = child.pid === undefined ? undefined : identify(child.pid);
  if (supervisor === undefined || child.stdin === null) {
    throw new ComponentFailed(`Cannot start the cluster's supervisor\n${logTail(supervisorLog(directory))}`);
  }
  const kubeconfigPath = join(directory, "kubeconfig");
  await writeState(directory, {
    phase: "starting",
    directory,
    way,
    kubeconfigPath,
    supervisor,
    processes: [],
    nodes: [],
  });
  // One that is gone already has closed its end; why, `waitUntilReady` reads from its log.
  child.stdin.on("error", () => {}).end(word);
  child.unref();
}

/** The supervisor's side: whether it may begin. Not when whoever started it ended before that was written down. */
export async function mayBegin(): Promise<boolean> {
  return (await text(process.stdin)) === word;
}

/**
 * Waits until the supervisor of a directory says that the cluster is ready.
 *
 * @throws {ComponentFailed} with the reason, and the end of its log.
 */
export async function waitUntilReady(directory: string, signal: AbortSignal | undefined): Promise<ClusterState> {
  const end = performance.now() + readyTimeoutMs;
  for (;;) {
    await delay(100);
    signal?.throwIfAborted();
    const state = await readState(directory);
    if (state?.phase === "ready") return state;
    const isGone = state?.supervisor === undefined || !isAlive(state.supervisor);
    if (!isGone && state.phase !== "failed" && performance.now() < end) continue;
    const why = state?.error ?? (isGone ? "its supervisor ended" : "it was not ready in time");
    throw new ComponentFailed(`Cannot bring the cluster up: ${why}\n${logTail(supervisorLog(directory))}`);
  }
}

function supervisorLog(directory: string): string {
  return join(directory, "supervisor.log");
}
