import { pods } from "@trainingrun/operator/kubernetes/resource.ts";
import { specWith } from "../../../../../operator/test/run-builder.ts";
import type { Fields, StoredObject } from "../object.ts";
import { bindPod } from "../pod-requests.ts";
import { named, runs, servedApi, team } from "./served-api.ts";

/** Where the run of these tests stands. */
export const run = named(runs, "mnist");
/** Where its pod stands. */
export const pod = named(pods, "mnist-1-0");

/** A model API server with what makes a run and a pod in it, and gives the pod a node. */
export function servedTeam() {
  const { api, clock } = servedApi();
  const makeRun = (metadata: Fields = {}): StoredObject => {
    const object = {
      apiVersion: "trainingrun.dev/v1alpha1",
      kind: "TrainingRun",
      metadata: { name: "mnist", ...metadata },
    };
    return api.create({ resource: runs, namespace: team }, { ...object, spec: specWith() }).object;
  };
  const makePod = (metadata: Fields = {}, spec: Fields = {}): StoredObject => {
    const containers = [{ name: "trainer", image: "example.com/mnist" }];
    const body = { metadata: { name: "mnist-1-0", ...metadata }, spec: { containers, ...spec } };
    return api.create({ resource: pods, namespace: team }, body).object;
  };
  const bind = (): StoredObject =>
    bindPod(api, { namespace: team, name: "mnist-1-0" }, { target: { name: "node-a" } }, clock.now()).object;
  return { api, clock, makeRun, makePod, bind };
}

/** A model API server with its objects. */
export type ServedTeam = ReturnType<typeof servedTeam>;
