import type { VolumeDurability } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import type { RestoreFailure } from "@trainingrun/checkpoint/contract/termination.ts";
import { type Cause, type Charge, chargeOfCause } from "../api/cause.ts";
import type { RetryRule } from "../api/retry-spec.ts";
import type { AttemptEntry, Silence, Stop } from "../api/status.ts";
import { disruptionOf, givenUp, isPastOwnLimit, lossOf, toldDisruption, vanished } from "./disruption.ts";
import { isWanted } from "./ledger.ts";
import type { AgentReport, ContainerEnd, ObservedNode, ObservedPod } from "./observed.ts";

/** Why an attempt ended and what that costs, ready for the ledger. */
export type Ending = Readonly<{
  cause: Cause;
  charge: Charge;
  reason: string;
  message: string;
  exitCode?: number;
}>;

/** One pod of an ended attempt: as it was last seen, or gone without a trace, and whether it had been given a node. */
export type Member =
  | Readonly<{ kind: "Pod"; pod: ObservedPod; node: ObservedNode | undefined; report: AgentReport | undefined }>
  | Readonly<{ kind: "Gone"; uid: string; bound: boolean; node: ObservedNode | undefined }>;

/** What the classifier looks at besides the pods. */
export type EndedAttempt = Readonly<{
  number: number;
  members: readonly Member[];
  /** `status.stop`, where it speaks of this attempt. */
  stop: Stop | undefined;
  /** Set where the attempt is given up because nothing is heard of its nodes. */
  silence?: Silence | undefined;
  /** The ledger entry as far as it is written, and the ones before it, newest first. */
  entry: AttemptEntry;
  earlier: readonly AttemptEntry[];
  rules: readonly RetryRule[];
  noneVerified: "Fail" | "StartOver";
  /** Without a volume, what is not uploaded counts for nothing. */
  durability: VolumeDurability;
}>;

/** So many ends in a row with a done record and no verdict cost nothing; more are failures, so that it ends. */
const freeUnverifiedEnds = 2;
const maxMessageLength = 1024;

type Row = Readonly<{
  title: string;
  match: (member: Member, attempt: EndedAttempt) => Ending | null;
}>;

/** The table of ends. The first row that any member matches wins. */
export const rows: readonly Row[] = [
  {
    title: "a done record whose final checkpoint the agent has verified",
    match: (member) => {
      const done = doneRecord(member);
      return done !== null && verdictOf(member) === done.checkpoint
        ? ending(
            "Complete",
            "Done",
            `Trained to step ${done.step}; the final checkpoint ${done.checkpoint} is verified.`,
          )
        : null;
    },
  },
  {
    title: "a done record without a verdict",
    match: (member, attempt) => {
      const done = doneRecord(member);
      if (done === null) return null;
      const before = attempt.earlier.findIndex((entry) => entry.cause !== "Unverified");
      const inARow = before === -1 ? attempt.earlier.length : before;
      const finished = `The trainer finished at step ${done.step}, but`;
      const unverified =
        attempt.durability === "Durable"
          ? ending(
              "Unverified",
              "NoVerdict",
              `${finished} no agent has verified its final checkpoint ${done.checkpoint}.`,
            )
          : ending("Unverified", "NotUploaded", `${finished} ${notUploaded(done.checkpoint)}`);
      return inARow < freeUnverifiedEnds ? unverified : { ...unverified, charge: "Failure" };
    },
  },
  {
    title: "our own stop",
    match: (member, { stop, entry, noneVerified }) =>
      stop === undefined || endedBefore(stop, member)
        ? null
        : {
            ...ending(stop.cause, stop.reason ?? stop.cause, stop.message ?? ""),
            // A rule's own charge is not known by its cause.
            charge: stop.charge ?? chargeOf(stop.cause, { entry, noneVerified }),
            ...(stop.exitCode === undefined ? {} : { exitCode: stop.exitCode }),
          },
  },
  {
    title: "a disruption",
    match: (member, { silence }) => {
      const disruption = disruptionFor(member, silence);
      if (disruption === null) return null;
      const { cause, charge = chargeOfCause[cause], reason, message } = disruption;
      return withExit({ ...ending(cause, reason, message), charge }, trainerEnd(member));
    },
  },
  {
    title: "the kubelet refused the pod",
    match: (member) =>
      member.kind === "Pod" && member.pod.phase === "Failed" && allWaiting(member.pod)
        ? ending("Rejected", member.pod.reason || "PodRejected", member.pod.message)
        : null,
  },
  {
    title: "the restore could not hand over a starting point",
    match: (member, { number, entry, noneVerified }) => {
      const failed = restoreFailure(member, number);
      if (failed === null || failed.failure === "Incompatible") return null;
      const cause = causeOfFailure[failed.failure];
      const charge = chargeOf(cause, { entry, noneVerified });
      return { ...ending(cause, failed.problem ?? failed.failure, failed.message), charge };
    },
  },
  {
    title: "the checkpoint and the program do not fit",
    match: (member, { number }) => {
      const failed = restoreFailure(member, number);
      if (failed?.failure === "Incompatible") return ending("Incompatible", "Incompatible", failed.message);
      const record = trainerRecord(member);
      return record?.kind === "incompatible"
        ? withExit(ending("Incompatible", "Incompatible", record.message), trainerEnd(member))
        : null;
    },
  },
  {
    title: "a rule of spec.retry.rules",
    match: (member, { rules }) => {
      const end = trainerEnd(member);
      const rule = end && rules.find(({ exitCodes }) => exitCodes.includes(end.exitCode));
      if (!end || !rule) return null;
      const charge = { Fail: "Terminal", Retry: "Failure", Ignore: "Disruption" } as const;
      return withExit({ ...ending("ByRule", rule.action, end.message), charge: charge[rule.action] }, end);
    },
  },
  {
    title: "it went past a limit of its own",
    match: (member) => {
      if (member.kind === "Pod" && isPastOwnLimit(member.pod))
        return withExit(ending("Crashed", member.pod.reason, member.pod.message), trainerEnd(member));
      const end = firstFailure(member);
      return end?.end.reason === "OOMKilled"
        ? withExit(ending("OutOfMemory", "OOMKilled", `Container ${end.name} went past its memory limit.`), end.end)
        : null;
    },
  },
  {
    title: "exit 0 without a done record",
    match: (member) => {
      const end = trainerEnd(member);
      if (end?.exitCode !== 0) return null;
      if (hasDonePart(member)) return withExit(ending("Incomplete", "WorkersLeft", leftAlone(member)), end);
      const words = `The trainer exited 0 without a done record. ${end.message}`;
      return withExit(ending("Incomplete", "NoDoneRecord", words), end);
    },
  },
  {
    title: "any other end",
    match: (member) => {
      const failed = firstFailure(member);
      if (failed === null) {
        const words = member.kind === "Pod" ? member.pod.message : "";
        return ending("Crashed", "PodFailed", words);
      }
      const reason = failed.end.reason === "" || failed.end.reason === "Error" ? "NonZeroExit" : failed.end.reason;
      const prefix =
        member.kind === "Pod" && failed.name !== member.pod.trainer.name ? `Container ${failed.name}: ` : "";
      return withExit(ending("Crashed", reason, prefix + failed.end.message), failed.end);
    },
  },
];

function notUploaded(digest: string): string {
  return `the upload of its final checkpoint ${digest} to the object store had not ended when the pod did, and the run has no volume to keep it. Raise template.spec.terminationGracePeriodSeconds, give the agent a faster way to the store, or set spec.checkpoint.volume in a new run.`;
}

const neverThere: Member = { kind: "Gone", uid: "", bound: false, node: undefined };

/** Names the end of an attempt by the first row that any of its pods matches. */
export function classify(attempt: EndedAttempt): Ending {
  // An attempt that was stopped before it had a pod is judged by the stop alone.
  const members: readonly Member[] = attempt.members.length > 0 ? speakers(attempt) : [neverThere];
  for (const row of rows) {
    for (const member of members) {
      const found = row.match(member, attempt);
      if (found !== null) return found;
    }
  }
  return ending("Crashed", "PodFailed", "");
}

/**
 * The pods that can tell why an attempt ended, those first of which the cluster itself says something. One that has done its
 * part cannot, unless all have; nor, where a wish stopped the rest of a gang, can one that ended only then.
 */
function speakers({ members, stop }: EndedAttempt): readonly Member[] {
  const unasked = members.filter((each) => stop !== undefined && endedBefore(stop, each) && !hasDonePart(each));
  const early = new Set(unasked);
  const asked = early.size === 0 ? members : members.filter((each) => early.has(each) || doneRecord(each) !== null);
  const unfinished = asked.filter((each) => !hasDonePart(each));
  const able = unfinished.length > 0 ? unfinished : asked;
  return [...able.filter(isTaken), ...able.filter((each) => !isTaken(each))];
}

function isTaken(member: Member): boolean {
  return (member.kind === "Gone" ? lossOf(member.node) : toldDisruption(member.pod, member.node)) !== null;
}

/**
 * A worker besides worker 0 whose trainer exited 0, and not because somebody asked it to stop: the attempt goes on without
 * it, and worker 0 tells how it ends.
 */
export function hasDonePart(member: Member): boolean {
  if (member.kind === "Gone" || member.pod.worker === 0 || trainerEnd(member)?.exitCode !== 0) return false;
  return disruptionOf(member.pod, member.node) === null;
}

/** A worker whose trainer ended as it should: it needs no other to. */
export function hasFinished(member: Member): boolean {
  return hasDonePart(member) || doneRecord(member) !== null;
}

function leftAlone(member: Member): string {
  const worker = member.kind === "Pod" ? member.pod.worker : 0;
  return `The trainer of worker ${worker} exited 0, and that of worker 0 did not finish.`;
}

/**
 * What a restore's verdict means for the run. A defect of the agent and a log that stays unreadable are failures: what
 * does not heal by itself must not be tried for ever.
 */
const causeOfFailure = {
  NoVerifiedCheckpoint: "NoVerifiedCheckpoint",
  StorageUnavailable: "StorageUnavailable",
  NodeSuspect: "NodeSuspect",
  Fenced: "Fenced",
  Incompatible: "Incompatible",
  LogUnreadable: "Crashed",
  AgentDefect: "Crashed",
} as const satisfies Record<RestoreFailure, Cause>;

/** What was wished of an attempt is not why it ended, where its trainer had ended before anybody deleted its pod. */
function endedBefore(stop: Stop, member: Member): boolean {
  return isWanted(stop.cause) && trainerEnd(member) !== null && !isDeleted(member);
}

/** What ended a member from outside. One that nobody saw end is given up with its attempt. */
function disruptionFor(member: Member, silence: Silence | undefined) {
  if (silence !== undefined && trainerEnd(member) === null) return givenUp(silence);
  return member.kind === "Gone" ? vanished(member.node) : disruptionOf(member.pod, member.node);
}

function isDeleted(member: Member): boolean {
  return member.kind === "Gone" || member.pod.deletionRequestedAt !== null;
}

/** The restore's verdict, where it refused to hand over, of this attempt's agent or restore container. */
export function restoreFailure(member: Member, attempt: number) {
  if (member.kind === "Gone") return null;
  for (const container of [member.pod.restore, member.pod.agent]) {
    const record = container?.record;
    if (record?.kind === "restore-failed" && record.attempt === attempt) return record;
  }
  return null;
}

function chargeOf(cause: Cause, { entry, noneVerified }: Pick<EndedAttempt, "entry" | "noneVerified">): Charge {
  // A checkpoint the user asked for that is not there stops nothing for good: the run waits for another choice.
  if (cause === "NoVerifiedCheckpoint" && (entry.from !== undefined || noneVerified === "StartOver")) return "Nothing";
  return chargeOfCause[cause];
}

function ending(cause: Cause, reason: string, message: string): Ending {
  return { cause, charge: chargeOfCause[cause], reason, message: message.trim().slice(-maxMessageLength) };
}

function withExit(found: Ending, end: ContainerEnd | null): Ending {
  return end === null ? found : { ...found, exitCode: end.exitCode };
}

function trainerRecord(member: Member) {
  if (member.kind === "Gone") return null;
  const { record } = member.pod.trainer;
  return record?.attempt === member.pod.attempt ? record : null;
}

/** Only worker 0 says that the training is done: the final checkpoint is whole where its agent has verified it. */
function doneRecord(member: Member) {
  const record = trainerRecord(member);
  return record?.kind === "done" && member.kind === "Pod" && member.pod.worker === 0 ? record : null;
}

/** Digest of the final checkpoint that the agent has verified: by its record, or by its last answer. */
function verdictOf(member: Member): string | null {
  if (member.kind === "Gone") return null;
  const { record, earlierRecord } = member.pod.agent;
  // What is verified stays so, whatever became of the agent that said it.
  const recorded = [record, earlierRecord].flatMap((said) =>
    said?.kind === "served" && said.attempt === member.pod.attempt && said.done !== null ? [said.done] : [],
  );
  return recorded[0] ?? member.report?.state.done ?? null;
}

function trainerEnd(member: Member): ContainerEnd | null {
  return member.kind === "Pod" && member.pod.trainer.state.kind === "Terminated" ? member.pod.trainer.state : null;
}

/** The container whose end ended the pod: the trainer, or one without which it never began. */
function firstFailure(member: Member): { name: string; end: ContainerEnd } | null {
  if (member.kind === "Gone") return null;
  const { trainer, restore, others, agent } = member.pod;
  for (const container of [trainer, ...(restore ? [restore] : []), ...others, agent]) {
    const { state } = container;
    if (state.kind === "Terminated" && (container === trainer || state.exitCode !== 0)) {
      return { name: container.name, end: state };
    }
  }
  return null;
}

function allWaiting(pod: ObservedPod): boolean {
  return [pod.trainer, pod.agent, pod.restore, ...pod.others].every(
    (container) => container === null || (container.state.kind === "Waiting" && container.previousEnd === null),
  );
}
