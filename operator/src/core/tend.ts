import type { AttemptEntry, TrainingRunStatus } from "../api/status.ts";
import { isTold, type Statement } from "./conditions.ts";
import { creations, refusalOf, refusalRetryMs } from "./creation.ts";
import { deadlineWait } from "./deadline.ts";
import { type Addition, add, type Draft } from "./draft.ts";
import { deletePod, tidyPods } from "./housekeeping.ts";
import { instantOf, timeOf } from "./instant.ts";
import type { Observed, ObservedPod } from "./observed.ts";
import { obstacleOf, silentNode, stuckPod, stuckWait, unseenPod } from "./obstacle.ts";
import type { PodSettings } from "./pod-settings.ts";
import { refusedSpec } from "./refused-spec.ts";
import type { Obstacle } from "./supported.ts";
import type { Survey } from "./survey.ts";

/** A trainer that has not reported a step this long after its restore may not know the contract at all. */
const firstStepPatienceMs = 120_000;
/** No pod is left whose node's changes would wake the run, so the node is looked at this often. */
const unseenRetryMs = 15_000;
/** A pod that has a node and no container yet is looked at this often: what it waits for is told in events alone. */
const beginRetryMs = 15_000;
/** An agent that has not answered this long after the trainer began is called silent. */
const agentPatienceMs = 60_000;

/** An attempt lives: sees to it that its pod exists, stops it where a stop is written, and says how it fares. */
export function decideLive(
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
  if (tidied.status.stop?.attempt === entry.number)
    return add(tidied, observed, stopping(observed, tidied.status, scene));
  if (scene.unseen.length > 0) return add(tidied, observed, unseen(observed, scene));
  const [first] = scene.members;
  if (first === undefined) {
    return entry.pods.length === 0
      ? add(tidied, observed, creating(observed, { status: tidied.status, entry, settings }))
      : tidied;
  }
  return add(tidied, observed, withRefusal(observed, entry, faring(observed, entry, first.pod)));
}

/** What stands in the spec is refused by this version: the attempt goes on, and it is told at once that none follows. */
function withRefusal({ run }: Observed, entry: AttemptEntry, fare: Addition): Addition {
  const refused = entry.generation === run.metadata.generation ? null : refusedSpec(run);
  if (refused === null) return fare;
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

function creating(
  observed: Observed,
  plan: { status: TrainingRunStatus; entry: AttemptEntry; settings: PodSettings },
): Addition {
  const refusal = refusalOf(observed, plan.entry);
  if (refusal === null) return { state: "Pending", actions: creations(observed, plan) };
  const left = refusal.at + refusalRetryMs - observed.now;
  return {
    state: "Pending",
    ...said(observed, refusal),
    ...(left > 0 ? { waits: [left] } : { actions: creations(observed, plan), waits: [refusalRetryMs] }),
  };
}

/** The attempt has not ended as long as its pod may run where nobody sees it: never two pods at once. */
function unseen(observed: Observed, scene: Survey): Addition {
  const obstacle = unseenPod(observed, scene);
  return { state: "Fencing", ...(obstacle === null ? {} : said(observed, obstacle)), waits: [unseenRetryMs] };
}

/** An obstacle as a condition, and as an event where it is new. */
function said({ run }: Observed, { reason, message }: Obstacle): Pick<Addition, "statements" | "events"> {
  const statement = progressing("False", reason, message);
  const events = isTold(run.status.conditions, statement) ? [] : [{ type: "Warning", reason, message } as const];
  return { statements: [statement], events };
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

function firstOf(pods: readonly ObservedPod[], judge: (pod: ObservedPod) => Obstacle | null): Obstacle | null {
  return pods.map(judge).find((obstacle) => obstacle !== null) ?? null;
}

function faring(observed: Observed, entry: AttemptEntry, pod: ObservedPod): Addition {
  const obstacle = obstacleOf(observed, pod);
  if (obstacle !== null) {
    const state = pod.trainer.state.kind === "Running" ? "Running" : "Pending";
    return { state, ...said(observed, obstacle), waits: beginWait(pod) };
  }
  if (pod.deletionRequestedAt !== null) {
    const stuck = stuckPod(pod, observed.now);
    if (stuck !== null) return { state: "Saving", ...said(observed, stuck) };
    return {
      state: "Saving",
      statements: [
        progressing("False", "PodStopping", `The pod ${pod.name} is being deleted and saves a final checkpoint.`),
      ],
    };
  }
  if (pod.trainer.state.kind === "Terminated") {
    return {
      state: "Saving",
      statements: [
        progressing(
          "False",
          "Finishing",
          `The trainer of attempt ${entry.number} has ended; its agent verifies what it left.`,
        ),
      ],
    };
  }
  if (pod.agent.state.kind === "Waiting" && pod.trainer.state.kind === "Waiting") {
    const message = `The pod ${pod.name} is starting.`;
    return { state: "Pending", statements: [progressing("False", "Starting", message)], waits: beginWait(pod) };
  }
  if (entry.firstStepTime !== undefined || (entry.lastStep !== undefined && entry.opened)) {
    return { state: "Running", statements: [progressing("True", "Training", `Attempt ${entry.number} is training.`)] };
  }
  return beforeFirstStep(observed, entry, pod);
}

/** Nothing of the pod changes while its kubelet waits for a volume, so it is looked at again. */
function beginWait({ phase, node }: ObservedPod): number[] {
  return phase === "Pending" && node !== null ? [beginRetryMs] : [];
}

function beforeFirstStep(observed: Observed, entry: AttemptEntry, pod: ObservedPod): Addition {
  const { now } = observed;
  const report = observed.reports.find(({ podUid }) => podUid === pod.uid);
  const trainerStart = pod.trainer.startedAt;
  if (report === undefined && trainerStart !== null) {
    const left = trainerStart + agentPatienceMs - now;
    if (left <= 0) {
      const message = `The agent of the pod ${pod.name} does not answer, so it is not known whether the attempt advances. Look at its log and at network policies for port 9464.`;
      return { state: "Running", statements: [progressing("Unknown", "AgentSilent", message)] };
    }
    return { ...restoring(entry), waits: [left] };
  }
  const restoredAt = report?.state.restored?.time;
  if (restoredAt === undefined) return restoring(entry);
  const since = Math.max(instantOf(restoredAt), trainerStart ?? now);
  const left = since + firstStepPatienceMs - now;
  if (left > 0) {
    return {
      state: "Restoring",
      statements: [
        progressing("False", "WaitingForFirstStep", `Attempt ${entry.number} is restored; no step is done yet.`),
      ],
      waits: [left],
    };
  }
  const message = `The trainer has reported no step since its restore at ${timeOf(instantOf(restoredAt))}. Does the image speak the trainer contract? Train with this project's SDK, or write control/progress.json as the guide says.`;
  return { state: "Running", statements: [progressing("False", "NoStepReported", message)] };
}

function restoring(entry: AttemptEntry): Addition {
  return {
    state: "Restoring",
    statements: [progressing("False", "Restoring", `Attempt ${entry.number} verifies and restores.`)],
  };
}

function progressing(status: Statement["status"], reason: string, message: string): Statement {
  return { type: "Progressing", status, reason, message };
}
