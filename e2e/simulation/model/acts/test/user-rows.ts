import { saveRequestAnnotation } from "@trainingrun/operator/api/names.ts";
import { fieldsOf, listOf } from "../../api/object.ts";
import { missingImage } from "../../run-spec.ts";
import type { ActRow } from "./act-row.ts";
import type { Scene } from "./scene.ts";

/** The template of the run as its user has it. */
function template(scene: Scene) {
  return fieldsOf(fieldsOf(scene.run?.spec).template);
}

function image(scene: Scene): unknown {
  const [trainer] = listOf(fieldsOf(template(scene).spec).containers).map(fieldsOf);
  return trainer?.image;
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
