import { finalSaveFinalizer } from "../api/names.ts";
import { releaseDeadline } from "./deadline.ts";
import type { Action } from "./decision.ts";
import { add, type Draft } from "./draft.ts";
import { deletePod, releasePod, tidyPods } from "./housekeeping.ts";
import type { Observed } from "./observed.ts";
import type { Survey } from "./survey.ts";

/**
 * A deleted run stops with its final checkpoint and then goes. It is let go in time even if a pod's end is never
 * seen (L5): what is abandoned then is named.
 */
export function decideDeletion(observed: Observed, draft: Draft, scene: Survey): Draft {
  const { run, now } = observed;
  if (!run.metadata.finalizers.includes(finalSaveFinalizer)) {
    return add(draft, observed, {
      actions: [...scene.members.flatMap(({ pod }) => releasePod(pod)), ...tidyPods(scene, draft.status)],
    });
  }
  const pods = [...scene.members, ...scene.others];
  const alive = pods.filter(({ end }) => end.kind === "Alive").map(({ pod }) => pod);
  const deadline = releaseDeadline(
    run,
    alive.map(({ graceSeconds }) => graceSeconds),
  );
  if (alive.length === 0 && scene.entry === null) {
    return add(draft, observed, {
      actions: [...tidyPods(scene, draft.status), ...claimRemoval(observed), { kind: "ReleaseRun" }],
    });
  }
  if (now >= deadline) {
    const names = alive.map(({ name, node }) => `${name} on node ${node ?? "none"}`).join(", ");
    const message = `Let the run go although the end of ${names || "its pod"} was not seen: the grace period and a minute are over.`;
    return add(draft, observed, {
      actions: [
        ...pods.flatMap(({ pod }) => [...deletePod(pod), ...releasePod(pod)]),
        ...claimRemoval(observed),
        { kind: "ReleaseRun" },
      ],
      events: [{ type: "Warning", reason: "PodsAbandoned", message }],
    });
  }
  return add(draft, observed, {
    state: "Saving",
    statements: [
      {
        type: "Progressing",
        status: "False",
        reason: "RunDeleted",
        message: "The run was deleted and is saving a final checkpoint.",
      },
    ],
    actions: [
      ...scene.members.filter(({ end }) => end.kind === "Alive").flatMap(({ pod }) => deletePod(pod)),
      ...tidyPods(scene, draft.status),
    ],
    waits: [deadline - now],
  });
}

function claimRemoval({ run, volume }: Observed): Action[] {
  const own = volume.kind === "Present" && volume.runUid === run.metadata.uid;
  return own && run.spec.deletionPolicy === "Delete" && !volume.deletionRequested
    ? [{ kind: "DeleteClaim", name: volume.claimName, uid: volume.uid }]
    : [];
}
