import { nodes } from "@trainingrun/operator/kubernetes/resource.ts";
import { fieldsOf, listOf, type StoredObject } from "../../api/object.ts";
import type { ActRow } from "./act-row.ts";
import type { Scene } from "./scene.ts";

const target = (scene: Scene) => scene.machine.name;

/** The node of the first pod as the server has it. */
function node(scene: Scene): StoredObject | undefined {
  return scene.world.api.store.get(nodes, scene.machine.name)?.object;
}

function taints(scene: Scene): readonly string[] {
  const all = listOf(fieldsOf(node(scene)?.spec).taints).map(fieldsOf);
  return all.map(({ key, effect }) => `${key} ${effect}`);
}

/** How much time trainers were given to stop, in milliseconds. */
function graces(scene: Scene): readonly number[] {
  return scene.since("StopAsked").map(({ graceMs }) => Math.round(graceMs));
}

/** Acts on the node of the run's pod. */
export const nodeRows: readonly ActRow[] = [
  {
    kind: "NodeTainted",
    does: "puts a taint on the node that pods do not bear",
    target,
    look: taints,
    before: [],
    during: ["example.com/maintenance NoExecute"],
    lift: { after: [] },
  },
  {
    kind: "NodeTainted",
    does: "ends what is there by the taint manager",
    target,
    look: (scene) => scene.condition(scene.pod(), "DisruptionTarget").reason,
    before: undefined,
    during: "DeletionByTaintManager",
  },
  {
    kind: "NodeUnderPressure",
    does: "lets no pod come, for as long as it lasts",
    target,
    look: taints,
    before: [],
    during: ["node.kubernetes.io/memory-pressure NoSchedule"],
    lift: { after: [] },
  },
  {
    kind: "NodeUnderPressure",
    does: "has the kubelet end what is there, in little time",
    target,
    look: (scene) => [graces(scene)[0], scene.pod()?.metadata.deletionTimestamp],
    before: [undefined, undefined],
    during: [10_000, undefined],
  },
  {
    kind: "NodeShutDown",
    does: "has the kubelet end what is there, and then switches the machine off",
    target,
    look: (scene) => [graces(scene)[0], scene.machine.state],
    before: [undefined, "Up"],
    afterMs: 23_000,
    during: [20_000, "Off"],
    lift: { forMs: 24_000, after: [20_000, "Up"] },
  },
  {
    kind: "NodeSilent",
    does: "keeps the cluster from hearing of the node",
    target,
    look: (scene) => [scene.machine.isHeard, scene.condition(node(scene), "Ready").status],
    before: [true, "True"],
    afterMs: 45_000,
    during: [false, "Unknown"],
    lift: { forMs: 46_000, settleMs: 1_000, after: [true, "True"] },
  },
  {
    kind: "NodeSilent",
    does: "lets the trainer there train on",
    target,
    look: (scene) => scene.since("Stepped").length > 0 && scene.machine.isCutOff,
    before: false,
    afterMs: 5_000,
    during: true,
  },
  {
    kind: "NodeFrozen",
    does: "has everything on the node stand still, and go on",
    target,
    look: (scene) => [scene.machine.state, scene.container("trainer")?.process?.state],
    before: ["Up", "running"],
    during: ["Frozen", "paused"],
    lift: { after: ["Up", "running"] },
  },
  {
    kind: "NodeLosesPower",
    does: "ends all that runs on the node at once, and boots it later",
    target,
    look: (scene) => [scene.machine.state, scene.ends.toSorted()],
    before: ["Up", []],
    during: ["Off", ["agent NodeLost 137", "trainer NodeLost 137"]],
    lift: { after: ["Up", ["agent NodeLost 137", "trainer NodeLost 137"]] },
  },
  {
    kind: "NodeDeleted",
    does: "takes the node out of the cluster, with all that runs there",
    target,
    look: (scene) => [node(scene) !== undefined, scene.machine.state],
    before: [true, "Up"],
    during: [false, "Off"],
  },
  {
    kind: "KubeletRestarted",
    does: "keeps the kubelet from telling what becomes of the pod, for as long as is said",
    target,
    args: { forMs: 5_000 },
    next: (scene) => scene.container("trainer")?.process?.kill("in a test"),
    look: (scene) => fieldsOf(scene.pod()?.status).phase,
    before: "Running",
    afterMs: 4_000,
    during: "Running",
    lift: { forMs: 5_000, settleMs: 6_000, after: "Failed" },
  },
  {
    kind: "ClockStepped",
    does: "sets the clock of the node ahead",
    target,
    args: { byMs: 1_800_000 },
    look: (scene) => scene.machine.clockMs - scene.world.clockOf("server"),
    before: 0,
    during: 1_800_000,
  },
];
