import { fieldsOf, type StoredObject } from "../model/api/object.ts";
import type { Check } from "./oracle.ts";
import { Standstills } from "./standstills.ts";
import { type EntryView, type StatusView, statusOf } from "./status-view.ts";

/** S11: nothing is stopped for no reason. */
const quietUpgrades: Check = {
  id: "S11",
  guards: "I11",
  says: "an attempt is stopped only for what its run says, never for the operator's sake",
  begin: (inquiry) => {
    const standstills = new Standstills();
    const suspecting = new Set<string>();
    inquiry.on("Stepped", (step) => standstills.step(step));
    inquiry.on("NodeSuspected", ({ pod }) => void suspecting.add(pod));
    inquiry.on("Write", ({ by, resource, before, object, atMs }) => {
      if (resource !== "trainingruns" || by.role !== "Operator") return;
      const { stop, attempts } = statusOf(object);
      if (stop === null || (before && statusOf(before).stop?.attempt === stop.attempt)) return;
      const entry = attempts.find(({ number }) => number === stop.attempt);
      const why = whyNotMeant(object, { stop, entry }, { standstills, suspecting, atMs });
      const what = `attempt ${stop.attempt} of ${object.metadata.uid} is stopped as ${stop.cause}, and ${why}`;
      inquiry.expect(why === null, atMs, () => what);
    });
  },
};

/** S11: what is promised of attempts that the operator ends. */
export const stopSafety: readonly Check[] = [quietUpgrades];

/** The reasons of a stall after the last step, and of a suspicion of an agent whose restore had found nothing wrong. */
const noEnd = "NoEnd";
const readBack = "ReadBack";
/** However fast its saves were, the last one is tried for so long. */
const leastFinalSaveSeconds = 600;
/** The clocks of two processes, and a look that comes once a second. */
const reportSlackMs = 2_000;

type Stopped = Readonly<{ stop: NonNullable<StatusView["stop"]>; entry: EntryView | undefined }>;
type Seen = Readonly<{ standstills: Standstills; suspecting: ReadonlySet<string>; atMs: number }>;

function whyNotMeant(object: StoredObject, { stop, entry }: Stopped, seen: Seen): string | null {
  const pods = entry?.pods ?? [];
  if (stop.cause === "Stalled") return whyNotStalled(object, { ...seen, pods, isAtEnd: stop.reason === noEnd });
  if (stop.reason === readBack) return whyNotSuspected(pods, seen.suspecting);
  return whyNotStopped(object, { cause: stop.cause, entry });
}

function whyNotStopped(
  { spec, metadata }: StoredObject,
  { cause, entry }: { cause: string; entry: EntryView | undefined },
): string | null {
  const { suspend, activeDeadlineSeconds } = fieldsOf(spec);
  switch (cause) {
    case "Superseded":
      return entry?.generation === metadata.generation ? "its spec was not edited" : null;
    case "Suspended":
      return suspend === true ? null : "it is not suspended";
    case "DeadlineExceeded":
      return activeDeadlineSeconds === undefined ? "it has no deadline" : null;
    case "RunDeleted":
      return metadata.deletionTimestamp === undefined ? "it is not deleted" : null;
    default:
      return null;
  }
}

function whyNotStalled(
  { spec }: StoredObject,
  { standstills, atMs, pods, isAtEnd }: Seen & Readonly<{ pods: readonly string[]; isAtEnd: boolean }>,
): string | null {
  const { timeoutSeconds } = fieldsOf(fieldsOf(spec).stall);
  if (typeof timeoutSeconds !== "number") return "it does not ask for that";
  const seconds = timeoutSeconds + (isAtEnd ? leastFinalSaveSeconds : 0);
  const stands = standstills.anyOf(pods, { leastMs: seconds * 1000 - reportSlackMs, atMs });
  return stands ? null : `none of ${pods} has stood still for ${seconds} s`;
}

function whyNotSuspected(pods: readonly string[], suspecting: ReadonlySet<string>): string | null {
  return pods.some((pod) => suspecting.has(pod)) ? null : `no agent of ${pods} has said anything against its node`;
}
