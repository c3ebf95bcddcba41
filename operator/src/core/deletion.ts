import { finalSaveFinalizer } from "../api/names.ts";
import type { TrainingRunStatus } from "../api/status.ts";
import type { TrainingRun } from "../api/training-run.ts";
import { withPodsMended } from "./alteration.ts";
import { releaseDeadline, runDeletedReason } from "./deadline.ts";
import type { Action, RunEvent } from "./decision.ts";
import { add, type Draft } from "./draft.ts";
import { deletePod, releasePod, tidyPods } from "./housekeeping.ts";
import type { Observed, ObservedPod } from "./observed.ts";
import type { PodSettings } from "./pod-settings.ts";
import { judgeRemoval, removedPlace } from "./removal.ts";
import { removalSeconds } from "./removal-pod.ts";
import type { Survey } from "./survey.ts";

//   stop with a final checkpoint ──► remove the objects ──► remove the claim ──► let go
//     └─ grace period and a minute,    └─ ten minutes more, or ten from the first try
//        from when it is asked            if that comes late: it is tried once in any case
//
// Neither wait is longer, whatever is seen (L5); what is abandoned then is named.

/**
 * A deleted run stops with its final checkpoint, removes its data where that is asked for, and then goes. Each of its
 * waits has an end, after which it goes all the same (L5).
 */
export function decideDeletion(
  observed: Observed,
  draft: Draft,
  { scene, settings }: { scene: Survey; settings: PodSettings },
): Draft {
  const { run, now } = observed;
  if (!run.metadata.finalizers.includes(finalSaveFinalizer)) {
    return add(draft, observed, {
      actions: [...scene.members.flatMap(({ pod }) => releasePod(pod)), ...tidyPods(scene, draft.status)],
    });
  }
  const pods = [...scene.members, ...scene.others];
  const alive = pods.filter(({ end }) => end.kind === "Alive").map(({ pod }) => pod);
  const deadline = releaseDeadline(run, draft.status, alive);
  const hasStopped = alive.length === 0 && scene.entry === null;
  if (!hasStopped && now < deadline) return saving(observed, draft, { scene, deadline });
  const tidied = add(draft, observed, {
    actions: hasStopped ? tidyPods(scene, draft.status) : pods.flatMap(({ pod }) => deletePod(pod)),
  });
  const removal = judgeRemoval(observed, {
    status: tidied.status,
    settings,
    deadline: deadline + removalSeconds * 1000,
  });
  if (removal.kind === "Under") return add(tidied, observed, removal.addition);
  return add(tidied, observed, {
    actions: [
      ...(hasStopped ? [] : pods.flatMap(({ pod }) => releasePod(pod))),
      ...claimRemoval(observed),
      { kind: "ReleaseRun" },
    ],
    events: [
      ...(hasStopped ? [] : [podsAbandoned(run, draft.status, alive)]),
      ...(removal.kind === "Abandoned" ? [removal.event] : []),
    ],
  });
}

function saving(observed: Observed, draft: Draft, { scene, deadline }: { scene: Survey; deadline: number }): Draft {
  const told = add(draft, observed, {
    state: "Saving",
    statements: [
      {
        type: "Progressing",
        status: "False",
        reason: runDeletedReason,
        message: "The run was deleted and is saving a final checkpoint.",
      },
    ],
    actions: [
      ...scene.members.filter(({ end }) => end.kind === "Alive").flatMap(({ pod }) => deletePod(pod)),
      ...tidyPods(scene, draft.status),
    ],
    waits: [deadline - observed.now],
  });
  return withPodsMended(observed, told, scene);
}

function podsAbandoned(run: TrainingRun, status: TrainingRunStatus, alive: readonly ObservedPod[]): RunEvent {
  const place = removedPlace({ ...run, status });
  const namesOf = (pods: readonly ObservedPod[]) =>
    pods.map(({ name, node }) => `${name} on node ${node ?? "none"}`).join(", ");
  const unasked = alive.filter(({ deletionRequestedAt }) => deletionRequestedAt === null);
  const message = [
    `Let the run go although the end of ${namesOf(alive) || "its pod"} was not seen: the grace period and a minute are over.`,
    ...(unasked.length > 0 ? [`The API server has not taken the request to stop ${namesOf(unasked)}.`] : []),
    ...(place === null ? [] : [`Where it still runs it may still write ${place}: look there once its node is back.`]),
  ];
  return { type: "Warning", reason: "PodsAbandoned", message: message.join(" ").slice(0, 1024) };
}

function claimRemoval({ run, volume }: Observed): Action[] {
  const own = volume.kind === "Present" && volume.runUid === run.metadata.uid;
  return own && run.spec.deletionPolicy === "Delete" && !volume.deletionRequested
    ? [{ kind: "DeleteClaim", name: volume.claimName, uid: volume.uid }]
    : [];
}
