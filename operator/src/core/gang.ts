import { hasFinished, type Member, restoreFailure } from "./cause.ts";
import type { Instant, Observed } from "./observed.ts";
import { lingers } from "./pod-end.ts";
import { membersOf, type Survey, unseenMembers } from "./survey.ts";

//   one worker is lost ──────────► the others are asked to stop ──► all have ended ──► the next attempt
//   one has done its part ──► the others have two minutes to do theirs ──► those that are left are asked to stop
//
// Training together they are of no use alone; and at the end, some libraries wait for peers that have left already.

/** How long the others of a gang have to end as well, once a worker has done its part. */
const partingMs = 120_000;

/**
 * The pods by whose end a gang is over although others of it may still run, for the classifier: those that were lost, or
 * else those that did their part long ago. Empty while the gang goes on.
 */
export function endedWorkers(observed: Observed, scene: Survey): Member[] {
  const members = [...membersOf(scene, observed), ...unseenMembers(scene, observed)];
  const ended = new Set(scene.members.flatMap(({ pod, end }) => (end.kind === "Ended" ? [pod.uid] : [])));
  const lost = members.filter((member) => isLost(member, ended));
  if (lost.length > 0) return lost;
  const until = partingEnd(observed, scene);
  return until !== null && observed.now >= until ? members.filter(hasFinished) : [];
}

/**
 * When those that are left of a gang are asked to stop, because the others have done their part; null while none has, and
 * where none is left. It is of the nodes' clocks: one that is off makes the wait longer or shorter, and loses nothing.
 */
export function partingEnd(observed: Observed, scene: Survey): Instant | null {
  const ends = membersOf(scene, observed).flatMap((member) =>
    member.kind === "Pod" && hasFinished(member) && member.pod.trainer.state.kind === "Terminated"
      ? [member.pod.trainer.state.finishedAt ?? observed.now]
      : [],
  );
  if (ends.length === 0) return null;
  const pods = scene.members.map(({ pod }) => pod);
  if (pods.every(({ trainer }) => trainer.state.kind === "Terminated")) return pods.some(lingers) ? observed.now : null;
  return Math.max(...ends) + partingMs;
}

function isLost(member: Member, ended: ReadonlySet<string>): boolean {
  if (member.kind === "Gone") return true;
  const { pod } = member;
  if (restoreFailure(member, pod.attempt) !== null) return true;
  if (hasFinished(member)) return false;
  return pod.trainer.state.kind === "Terminated" || pod.deletionRequestedAt !== null || ended.has(pod.uid);
}
