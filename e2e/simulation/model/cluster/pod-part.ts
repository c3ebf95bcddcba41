import { labels } from "@trainingrun/operator/api/names.ts";
import type { PodPart } from "../../judge/history.ts";
import type { StoredObject } from "../api/object.ts";

/** What a pod is to its run, by its labels; the pod that removes the objects of a run is of attempt 0. */
export function partOf({ metadata }: StoredObject): PodPart {
  const said = metadata.labels ?? {};
  return {
    run: said[labels.runUid] ?? "",
    attempt: Number(said[labels.attempt] ?? 0),
    worker: Number(said[labels.worker] ?? 0),
    pod: metadata.uid,
  };
}
