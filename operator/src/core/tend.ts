import type { AttemptEntry, TrainingRunStatus } from "../api/status.ts";
import { withPodsMended } from "./alteration.ts";
import { type Creation, creations, serviceCreation } from "./creation.ts";
import { deadlineWait } from "./deadline.ts";
import { type Addition, add, type Draft } from "./draft.ts";
import { faring, firstOf } from "./faring.ts";
import { type Fencing, fencing, neverFenced } from "./fencing.ts";
import { deletePod, tidyPods } from "./housekeeping.ts";
import type { Observed } from "./observed.ts";
import { silentNode, stuckPod, stuckWait, unseenPod } from "./obstacle.ts";
import type { PodSettings } from "./pod-settings.ts";
import { progressing, said } from "./progressing.ts";
import { refusalOf, refusalRetryMs, serviceRefusal } from "./refusal.ts";
import { refusedSpec } from "./refused-spec.ts";
import type { Survey } from "./survey.ts";
import { missingWorkers, workersOf } from "./workers.ts";

/** No pod is left whose node's changes would wake the run, so the node is looked at this often. */
const unseenRetryMs = 15_000;

type Silent = Exclude<Fencing, Readonly<{ kind: "None" | "Fence" }>>;

/** An attempt lives: sees to it that its pods exist, stops them where a stop is written, and says how it fares. */
export function decideLive(observed: Observed, draft: Draft, scenery: { scene: Survey; settings: PodSettings }): Draft {
  return withPodsMended(observed, tended(observed, draft, scenery), scenery.scene);
}

function tended(
  observed: Observed,
  draft: Draft,
  { scene, settings }: { scene: Survey; settings: PodSettings },
): Draft {
  const tidied = add(draft, observed, {
    actions: tidyPods(scene, draft.status),
    waits: [...deadlineWait(observed.run, draft.status, observed.now), ...stuckWait(scene.members, observed.now)],
  });
  const { entry } = scene;
  if (entry === null) return tidied;
  const fate = fencing(observed, tidied.status, scene);
  if (fate.kind !== "None" && fate.kind !== "Fence")
    return add(tidied, observed, silent(observed, { status: tidied.status, scene, fate }));
  if (tidied.status.stop?.attempt === entry.number)
    return add(tidied, observed, stopping(observed, tidied.status, scene));
  if (scene.unseen.length > 0) return add(tidied, observed, unseen(observed, scene));
  const workers = missingWorkers(
    entry,
    scene.members.map(({ pod }) => pod),
  );
  if (workers.length > 0)
    return add(tidied, observed, creating(observed, { status: tidied.status, entry, settings, workers }));
  const fare = withRefusal(observed, entry, faring(observed, tidied.status, scene));
  return add(tidied, observed, workersOf(entry) > 1 ? withService(observed, fare) : fare);
}

/** A gang whose Service somebody deleted trains on; but a worker that begins later would not find the others. */
function withService(observed: Observed, fare: Addition): Addition {
  if (observed.service !== "Absent") return fare;
  const refusal = serviceRefusal(observed);
  const left = refusal?.leftMs ?? 0;
  const words = refusal === null ? "" : ` ${refusal.message} Without it, workers that begin do not find the others.`;
  return {
    ...fare,
    statements: (fare.statements ?? []).map((each) => ({ ...each, message: `${each.message}${words}` })),
    actions: left > 0 ? [] : [serviceCreation(observed)],
    waits: [...(fare.waits ?? []), ...(left > 0 ? [left] : [])],
  };
}

/** What stands in the spec is refused by this version: the attempt goes on, and it is told at once that none follows. */
function withRefusal(observed: Observed, entry: AttemptEntry, fare: Addition): Addition {
  const { run } = observed;
  const refused = entry.generation === run.metadata.generation ? null : refusedSpec(run);
  if (refused === null) return withUnseenNodes(observed, fare);
  const words = `No attempt can follow attempt ${entry.number}. ${refused.message}`;
  const isNew = run.status.observedGeneration !== run.metadata.generation;
  return {
    ...fare,
    statements: (fare.statements ?? []).map((each) => ({ ...each, message: `${each.message} ${words}` })),
    events: [
      ...(fare.events ?? []),
      ...(isNew ? [{ type: "Warning", reason: refused.reason, message: words } as const] : []),
    ],
  };
}

/** It would never come to be told by what happens: nobody sees it happen. */
function withUnseenNodes(observed: Observed, fare: Addition): Addition {
  const words = neverFenced(observed);
  if (words === null) return fare;
  return {
    ...fare,
    statements: (fare.statements ?? []).map((each) => ({ ...each, message: `${each.message} ${words}` })),
  };
}

function creating(observed: Observed, plan: Creation & Readonly<{ workers: readonly number[] }>): Addition {
  const { entry, workers } = plan;
  const refusal = refusalOf(observed, entry);
  if (refusal === null) {
    const message = `Attempt ${entry.number} waits for the pods of its workers ${workers.join(", ")}.`;
    const isGang = workersOf(entry) > 1;
    const statements = isGang ? { statements: [progressing("False", "GangIncomplete", message)] } : {};
    return { state: "Pending", ...statements, actions: creations(observed, plan) };
  }
  const { leftMs } = refusal;
  return {
    state: "Pending",
    ...said(observed, refusal),
    ...(leftMs > 0 ? { waits: [leftMs] } : { actions: creations(observed, plan), waits: [refusalRetryMs] }),
  };
}

/** What its pods do nobody knows; one that was asked to stop is still asked, in case somebody hears it. */
function silent(
  observed: Observed,
  { status, scene, fate }: { status: TrainingRunStatus; scene: Survey; fate: Silent },
): Addition {
  const alive = scene.members.filter(({ end }) => end.kind === "Alive").map(({ pod }) => pod);
  return {
    state: "Fencing",
    ...said(observed, fate.obstacle),
    actions: status.stop?.attempt === scene.entry?.number ? alive.flatMap(deletePod) : [],
    waits: [...(fate.kind === "Counting" ? [fate.waitMs] : []), ...(scene.unseen.length > 0 ? [unseenRetryMs] : [])],
  };
}

/** The attempt has not ended as long as its pod may run where nobody sees it: never two pods at once. */
function unseen(observed: Observed, scene: Survey): Addition {
  const obstacle = unseenPod(observed, scene);
  return { state: "Fencing", ...(obstacle === null ? {} : said(observed, obstacle)), waits: [unseenRetryMs] };
}

function stopping(observed: Observed, { stop }: TrainingRunStatus, scene: Survey): Addition {
  const alive = scene.members.filter(({ end }) => end.kind === "Alive").map(({ pod }) => pod);
  const held =
    firstOf(alive, (pod) => silentNode(observed, pod)) ??
    unseenPod(observed, scene) ??
    firstOf(alive, (pod) => stuckPod(pod, observed.now));
  const message =
    `The attempt is being stopped (${stop?.cause}) and saves a final checkpoint. ${stop?.message ?? ""}`.trim();
  return {
    state: "Saving",
    ...(held === null ? { statements: [progressing("False", "Stopping", message)] } : said(observed, held)),
    actions: alive.flatMap(deletePod),
    waits: scene.unseen.length > 0 ? [unseenRetryMs] : [],
  };
}
