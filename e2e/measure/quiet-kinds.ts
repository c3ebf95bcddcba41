import { blockedRows } from "../causes/blocked-rows.ts";
import { type Manifest, running, withPod, withSpec, withTrainer } from "../causes/manifests.ts";
import { type Beginning, isAt, type Place, saidBy } from "../causes/walk.ts";
import { clusterRows } from "../causes/walk-all.ts";
import { conditionOf, type RunView } from "../harness/run-view.ts";
import { held } from "./quiet-queue.ts";

/** A state that a run stays in as long as nothing happens to it. */
export type IdleKind = Readonly<{
  kind: string;
  begin: (place: Pick<Place, "spare">) => Beginning;
  /** Once it trains, nothing is heard of its node any more. */
  losesNode?: true;
  isIdle: (run: RunView) => boolean;
}>;

/** Every kind there is. */
export const idleKinds: readonly IdleKind[] = [
  kindOf("Running", { run: same }, (run) => isAt("Training", run)),
  kindOf("Running gang", { run: asGang }, (run) => isAt("Training", run)),
  kindOf("Complete", { trains: true, run: withFewSteps }, is("Complete")),
  kindOf("Failed", { run: failing({ failures: 0 }) }, is("Failed")),
  kindOf("Suspended", { run: (manifest) => withSpec(manifest, { suspend: true }) }, is("Suspended")),
  kindOf(
    "Backoff",
    { run: failing({ backoff: { initialSeconds: 7200, maxSeconds: 7200 } }) },
    ({ status }) => status.state === "Backoff",
  ),
  kindOf("Queued", { run: held }, waitsInQueue),
  kindOf("Queued gang", { run: (manifest) => held(asGang(manifest)) }, waitsInQueue),
  onLostNode("Silent node: Wait", { policy: "Wait" }, "NodeSilent"),
  // The claim is ReadWriteOnce, so that nothing can begin beside the lost pod, however long that lasts.
  onLostNode("Silent node: Fence", { policy: "Fence", afterSeconds: 30 }, "FenceUnavailable"),
  ...clusterRows(blockedRows).map((row) => kindOf(`Blocked: ${row.way}`, row, (run) => saidBy(row, run) !== null)),
];

function kindOf(kind: string, begin: Beginning, isIdle: IdleKind["isIdle"]): IdleKind {
  return { kind, begin: () => begin, isIdle };
}

/** It stays where it is even when its node is called unreachable, since its eviction, minutes later, would be an event. */
function onLostNode(kind: string, nodeLost: Readonly<Record<string, unknown>>, reason: string): IdleKind {
  const tolerations = [{ operator: "Exists", effect: "NoExecute" }];
  return {
    kind,
    begin: ({ spare }) => ({
      run: (manifest) => {
        const nodeSelector = { "kubernetes.io/hostname": spare };
        return withSpec(withPod(manifest, { nodeSelector, tolerations }), { nodeLost });
      },
    }),
    losesNode: true,
    // While its agent was heard of late, it says so.
    isIdle: (run) => {
      const progressing = conditionOf(run, "Progressing");
      return progressing?.reason === reason && progressing.message.includes("not known whether");
    },
  };
}

function same(manifest: Manifest): Manifest {
  return manifest;
}

function asGang(manifest: Manifest): Manifest {
  const claimTemplate = { accessModes: ["ReadWriteMany"], resources: { requests: { storage: "1Gi" } } };
  return withSpec(manifest, { workers: 2, checkpoint: { ...manifest.spec.checkpoint, volume: { claimTemplate } } });
}

function withFewSteps(manifest: Manifest): Manifest {
  return withTrainer(manifest, { env: [{ name: "MNIST_STEPS", value: "20" }] });
}

function failing(retry: unknown): Beginning["run"] {
  const exit3 = running("process.exit(3)");
  return (manifest) => withSpec(exit3(manifest), { retry });
}

function is(type: string): IdleKind["isIdle"] {
  return (run) => conditionOf(run, type)?.status === "True";
}

function waitsInQueue(run: RunView): boolean {
  const progressing = conditionOf(run, "Progressing");
  return progressing?.reason === "SchedulingGated" && progressing.message.includes("insufficient unused quota");
}
