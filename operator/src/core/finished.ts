import { isTrue } from "./conditions.ts";
import { add, type Draft } from "./draft.ts";
import { tidyIdlePods } from "./housekeeping.ts";
import { instantOf } from "./instant.ts";
import type { Observed } from "./observed.ts";
import type { Survey } from "./survey.ts";

/** The run is over: its pods are let go, and in time the run itself. */
export function decideFinished(observed: Observed, draft: Draft, scene: Survey): Draft {
  const { run, now } = observed;
  const tidied = add(draft, observed, { actions: tidyIdlePods(scene, draft.status, observed) });
  const ttl = run.spec.ttlSecondsAfterFinished;
  const end = draft.status.conditions?.find(
    ({ type, status }) => (type === "Complete" || type === "Failed") && status === "True",
  );
  if (ttl === undefined || end === undefined) return tidied;
  const left = instantOf(end.lastTransitionTime) + ttl * 1000 - now;
  return left > 0
    ? add(tidied, observed, { waits: [left] })
    : add(tidied, observed, { actions: [{ kind: "DeleteRun" }] });
}

/** True once the run has ended for good. */
export function isFinished({ status }: Draft): boolean {
  return isTrue(status.conditions, "Complete") || isTrue(status.conditions, "Failed");
}
