import { labels, saveRequestAnnotation } from "@trainingrun/operator/api/names.ts";
import { services as gangServices } from "@trainingrun/operator/kubernetes/resource.ts";
import { namespaces } from "../../api/built-in-kinds.ts";
import { fieldsOf, listOf } from "../../api/object.ts";
import { missingImage } from "../../run-spec.ts";
import type { ActRow } from "./act-row.ts";
import { type Scene, team } from "./scene.ts";

/** The template of the run as its user has it. */
function template(scene: Scene) {
  return fieldsOf(fieldsOf(scene.run?.spec).template);
}

function image(scene: Scene): unknown {
  const [trainer] = listOf(fieldsOf(template(scene).spec).containers).map(fieldsOf);
  return trainer?.image;
}

/** What there is of the run's namespace, and of the run. */
function places(scene: Scene): readonly unknown[] {
  const namespace = scene.world.api.store.get(namespaces, team)?.object;
  const { phase = "gone" } = fieldsOf(namespace?.status);
  return [phase, scene.run === undefined ? "gone" : "there"];
}

function services(scene: Scene): number {
  return scene.world.api.store.list(gangServices, team).length;
}

const isSuspended = (scene: Scene) => fieldsOf(scene.run?.spec).suspend === true;
const uids = new WeakMap<Scene, string>();

/** Acts of the run's user. */
export const userRows: readonly ActRow[] = [
  {
    kind: "SaveRequested",
    does: "asks for a save by an annotation",
    look: (scene) => typeof scene.run?.metadata.annotations?.[saveRequestAnnotation],
    before: "undefined",
    during: "string",
  },
  {
    kind: "RunEdited",
    does: "changes the template of the pods to come",
    look: (scene) => fieldsOf(fieldsOf(template(scene).metadata).annotations)["example.com/edit"],
    before: undefined,
    during: "f0",
  },
  ...[
    { taken: 0, during: "others" },
    { taken: 1, during: undefined },
  ].map(
    ({ taken, during }): ActRow => ({
      kind: "RunRequeued",
      does: `puts the run into another queue, or into none: ${during ?? "none"}`,
      beginning: { isQueued: true },
      args: { taken },
      look: (scene) => scene.run?.metadata.labels?.[labels.queue],
      before: "gpus",
      during,
    }),
  ),
  {
    kind: "RunMisedited",
    does: "names an image that there is not, and then the right one again",
    look: image,
    before: "model/trainer",
    during: missingImage,
    lift: { after: "model/trainer" },
  },
  {
    kind: "RunSuspended",
    does: "suspends the run, and sets it going again where that is said",
    args: { resumed: 1 },
    look: isSuspended,
    before: false,
    during: true,
    lift: { after: false },
  },
  {
    kind: "RunSuspended",
    does: "suspends the run for good where nothing is said",
    args: { resumed: 0 },
    look: isSuspended,
    before: false,
    during: true,
    lift: { after: true },
  },
  {
    kind: "RunDeleted",
    does: "deletes the run",
    look: (scene) => scene.run !== undefined && scene.run.metadata.deletionTimestamp === undefined,
    before: true,
    during: false,
  },
  {
    kind: "RunRecreated",
    does: "deletes the run, and makes another one under its name as soon as it is gone",
    first: (scene) => void uids.set(scene, scene.run?.metadata.uid ?? ""),
    look: (scene) => scene.run !== undefined && scene.run.metadata.uid !== uids.get(scene),
    before: false,
    afterMs: 60_000,
    during: true,
  },
  {
    kind: "NamespaceDeleted",
    does: "deletes the namespace, and with it all that is there",
    target: () => team,
    look: places,
    before: ["Active", "there"],
    during: ["Terminating", "there"],
    lift: { forMs: 120_000, after: ["gone", "gone"] },
  },
  {
    kind: "ServiceDeleted",
    does: "deletes the Service by which the workers of a gang find each other",
    beginning: { workers: 2, volume: "ReadWriteMany" },
    look: services,
    before: 1,
    during: 0,
  },
  {
    kind: "FinalizerStripped",
    does: "takes the finalizers off the run",
    args: { ofPod: 0 },
    look: (scene) => (scene.run?.metadata.finalizers ?? []).length,
    before: 1,
    during: 0,
  },
  {
    kind: "FinalizerStripped",
    does: "takes the finalizers off the pod",
    args: { ofPod: 1 },
    look: (scene) => (scene.pod()?.metadata.finalizers ?? []).length,
    before: 1,
    during: 0,
  },
];
