import { setTimeout as wait } from "node:timers/promises";
import { blockedRows } from "../causes/blocked-rows.ts";
import { running, withSpec, withTrainer } from "../causes/manifests.ts";
import { type Beginning, beginRow, isAt, type Place, saidBy } from "../causes/walk.ts";
import { clusterRows } from "../causes/walk-all.ts";
import { interrupt } from "../harness/interruptions.ts";
import { RunAccess } from "../harness/run-access.ts";
import { conditionOf, type RunView } from "../harness/run-view.ts";
import { findRunVolume } from "../harness/run-volume.ts";
import type { Window } from "./quiet-audit.ts";

/** A run that nothing happens to, in a namespace of its own. */
type IdleKind = Readonly<{ kind: string; begin: Beginning; isIdle: (run: RunView) => boolean }>;

const failing = (retry: unknown): Beginning["run"] => {
  const exit3 = running("process.exit(3)");
  return (manifest) => withSpec(exit3(manifest), { retry });
};

const finishing: Beginning = {
  trains: true,
  run: (manifest) => withTrainer(manifest, { env: [{ name: "MNIST_STEPS", value: "20" }] }),
};

const is = (type: string) => (run: RunView) => conditionOf(run, type)?.status === "True";

const idleKinds: readonly IdleKind[] = [
  { kind: "Running", begin: { run: (manifest) => manifest }, isIdle: (run) => isAt("Training", run) },
  { kind: "Complete", begin: finishing, isIdle: is("Complete") },
  { kind: "Failed", begin: { run: failing({ failures: 0 }) }, isIdle: is("Failed") },
  { kind: "Suspended", begin: { run: (manifest) => withSpec(manifest, { suspend: true }) }, isIdle: is("Suspended") },
  {
    kind: "Backoff",
    begin: { run: failing({ backoff: { initialSeconds: 7200, maxSeconds: 7200 } }) },
    isIdle: ({ status }) => status.state === "Backoff",
  },
  ...clusterRows(blockedRows).map((row) => ({
    kind: `Blocked: ${row.way}`,
    begin: row,
    isIdle: (run: RunView) => saidBy(row, run) !== null,
  })),
];

/** Where an idle run is, by which its writes are known. */
export type IdleRun = Readonly<{ kind: string; namespace: string }>;

/** Creates a run of every kind that has nothing to do, and returns when each has come to that. */
export async function beginIdleRuns(place: Place): Promise<readonly IdleRun[]> {
  return await Promise.all(
    idleKinds.map(async ({ kind, begin, isIdle }, index) => {
      const namespace = `idle-${index}`;
      const access = new RunAccess(place.installation.api, { namespace, name: "idle" });
      await beginRow(begin, access, place);
      await access.waitFor(`a run that is ${kind}`, place.signal, isIdle);
      return { kind, namespace };
    }),
  );
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
