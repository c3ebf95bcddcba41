import { setTimeout as wait } from "node:timers/promises";
import { beginRow, isAt, type Place } from "../causes/walk.ts";
import { loseNode } from "../cluster/container-node/lost-node.ts";
import { interrupt } from "../harness/interruptions.ts";
import { RunAccess } from "../harness/run-access.ts";
import type { RunView } from "../harness/run-view.ts";
import { findRunVolume } from "../harness/run-volume.ts";
import type { Window } from "./quiet-audit.ts";
import { type IdleKind, idleKinds } from "./quiet-kinds.ts";

/** Where an idle run is, by which its writes are known. */
export type IdleRun = Readonly<{ kind: string; namespace: string }>;

/**
 * Does something once a run of every kind has come to where it has nothing to do. Nothing is heard of the place's spare
 * node meanwhile, on which nothing else may run.
 */
export async function withIdleRuns<T>(place: Place, work: (idle: readonly IdleRun[]) => Promise<T>): Promise<T> {
  const { installation, spare, signal } = place;
  const begun = await Promise.all(idleKinds.map((kind, index) => begin(kind, `idle-${index}`, place)));
  const lost = await loseNode(installation.cluster, spare);
  try {
    await Promise.all(
      begun.map(({ access, kind, isIdle }) => access.waitFor(`a run that is still ${kind}`, signal, isIdle)),
    );
    return await work(begun.map(({ kind, access }) => ({ kind, namespace: access.name.namespace })));
  } finally {
    await lost.comeBack();
  }
}

type Begun = IdleKind & Readonly<{ access: RunAccess }>;

/** One whose node is to be lost trains there first, placed by itself; the others are kept away from it. */
async function begin(idle: IdleKind, namespace: string, place: Place): Promise<Begun> {
  const { kind, losesNode = false, isIdle } = idle;
  const access = new RunAccess(place.installation.api, { namespace, name: "idle" });
  await beginRow(idle.begin(place), access, losesNode ? { ...place, spare: "none" } : place);
  const isReady = losesNode ? (run: RunView) => isAt("Training", run) : isIdle;
  await access.waitFor(`a run that is ${losesNode ? "Running" : kind}`, place.signal, isReady);
  return { ...idle, access };
}

/** One run, from its creation to its first step, and from the eviction of its pod to the first step of the next one. */
export type AttemptWindows = Readonly<{ namespace: string; created: Window; replaced: Window }>;

/** What is told of a step, and events most of all, comes a moment after it. */
const afterglowMs = 3_000;

/** Creates a run in a namespace of its own, and evicts its first pod. */
export async function replaceOnce(name: string, place: Place): Promise<AttemptWindows> {
  const { installation, signal } = place;
  const access = new RunAccess(installation.api, { namespace: name, name });
  const steps = (attempt: number) => (run: RunView) => run.status.attempt === attempt && isAt("Training", run);
  const createdMs = Date.now();
  await beginRow({ run: (manifest) => manifest }, access, place);
  const run = await access.waitFor("its first step", signal, steps(1));
  await wait(afterglowMs, undefined, { signal });
  const volume = await findRunVolume(installation.api, run);
  const { atMs } = await interrupt("eviction", { api: installation.api, run: access, volume, signal });
  await access.waitFor("the first step of the next attempt", signal, steps(2));
  await wait(afterglowMs, undefined, { signal });
  const created = { fromMs: createdMs, toMs: atMs };
  const replaced = { fromMs: atMs, toMs: Date.now() };
  await access.remove(signal);
  return { namespace: name, created, replaced };
}
