import { expectedCause } from "../harness/expected-cause.ts";
import type { Interrupted, InterruptionKind } from "../harness/interruptions.ts";
import type { RunView } from "../harness/run-view.ts";
import type { Check, DemoReport } from "./report.ts";

/** A training that was watched to its end, as far as a promise speaks of it. */
export type Watched = Readonly<{
  run: Pick<RunView, "status">;
  interruptions: readonly Pick<Interrupted, "kind" | "attempt">[];
  weights: string;
}>;

/** What the demo has seen, and the interruptions that it meant to make, in order. */
export type Seen = Readonly<{
  interrupted: Watched;
  undisturbed: Watched;
  scraped: DemoReport["scraped"];
  planned: readonly InterruptionKind[];
}>;

/** Every promise of the demo, each held against what was seen. */
export function checksOf({ interrupted, undisturbed, scraped, planned }: Seen): readonly Check[] {
  const { run, interruptions } = interrupted;
  const { attempts, refused, retry, totals } = run.status;
  const made = interruptions.map(({ kind }) => kind);
  const causes = attempts.toReversed().map(({ cause }) => cause ?? "none");
  const graceful = interruptions.filter(({ kind }) => !["SIGKILL", "damaged checkpoint", "lost volume"].includes(kind));
  const entryOf = (attempt: number) => attempts.find(({ number }) => number === attempt);
  const lost = graceful.map(({ attempt }) => entryOf(attempt)?.lostSteps);
  const failures = Number(totals?.failures ?? Number.NaN);
  const wrong = scraped.filter(({ met }) => !met);
  return [
    check(
      "both trainings completed, to the last step",
      isComplete(run) && isComplete(undisturbed.run),
      [run, undisturbed.run].map(({ status }) => `${status.state} at ${status.latestVerified?.step}`).join(", "),
    ),
    check(
      "the final weights are the same, byte for byte",
      interrupted.weights === undisturbed.weights && interrupted.weights !== "none",
      interrupted.weights,
    ),
    check(
      "the run was interrupted as planned",
      planned.length > 0 && sameWords(made, planned),
      `${made.length} of ${planned.length}`,
    ),
    check(
      "the undisturbed run was not",
      undisturbed.run.status.attempts.length === 1,
      `${undisturbed.run.status.attempts.length} attempt`,
    ),
    check(
      "each end was told apart: eviction and preemption are disruptions, the kill is a crash, the pause is neither",
      sameWords(causes, [...planned.map((kind) => expectedCause[kind]), "Complete"]),
      causes.join(", "),
    ),
    check(
      "no disruption was charged as a failure",
      retry?.disruptions === graceful.length && failures === made.filter((kind) => kind === "SIGKILL").length,
      `${retry?.disruptions} disruptions, ${failures} failures`,
    ),
    check(
      "nothing was lost where the pod could save",
      lost.length > 0 && lost.every((steps) => steps === 0),
      lost.map((steps) => `${steps}`).join(", "),
    ),
    ...(planned.includes("damaged checkpoint") ? damageChecks(interrupted, refused) : []),
    ...(planned.includes("lost volume") ? lossChecks(interrupted, refused) : []),
    check(
      "Prometheus scraped operator and agent, and both count what happened",
      scraped.length > 0 && wrong.length === 0,
      wrong.map(({ query, value, expected }) => `${query} is ${value}, not ${expected}`).join("; ") ||
        `${scraped.length} queries answered`,
    ),
  ];
}

/** The damaged checkpoint is the last one of the attempt that was paused for it. */
function damageChecks({ run, interruptions }: Watched, refused: RunView["status"]["refused"]): readonly Check[] {
  const damaged = interruptions.find(({ kind }) => kind === "damaged checkpoint")?.attempt;
  const after = run.status.attempts.find(({ number }) => number === (damaged ?? Number.NaN) + 1);
  const [refusal] = refused;
  return [
    check(
      "the flipped bit was found and that checkpoint refused, and no other",
      refused.length === 1 && refusal?.reason === "BytesDiffer" && refusal.attempt === damaged,
      refused.map(({ step, reason, message }) => `step ${step}: ${reason}, ${message}`).join("; ") || "nothing refused",
    ),
    check(
      "the attempt after it used an older checkpoint",
      after?.resumedFrom !== undefined && refusal !== undefined && after.resumedFrom.step < refusal.step,
      `step ${after?.resumedFrom?.step}`,
    ),
  ];
}

/** After the loss of the volume there is one place left to go on from. */
function lossChecks({ run, interruptions }: Watched, refused: RunView["status"]["refused"]): readonly Check[] {
  const lost = interruptions.find(({ kind }) => kind === "lost volume")?.attempt ?? Number.NaN;
  const from = run.status.attempts.find(({ number }) => number === lost + 1)?.resumedFrom;
  return [
    check(
      "with the volume wiped, the run went on from the object store's copy",
      from !== undefined && from.step > 0 && from.tier === "ObjectStore",
      `step ${from?.step} from ${from?.tier}`,
    ),
    check("no checkpoint had to be refused for it", refused.length === 0, `${refused.length} refused`),
  ];
}

function isComplete(run: Watched["run"]): boolean {
  const { conditions, latestVerified, progress } = run.status;
  const atTheEnd = latestVerified !== undefined && latestVerified.step === progress?.targetStep;
  return conditions.some(({ type, status }) => type === "Complete" && status === "True") && atTheEnd;
}

function check(what: string, held: boolean, seen: string): Check {
  return { what, held, seen };
}

function sameWords(words: readonly string[], expected: readonly string[]): boolean {
  return words.length === expected.length && words.every((word, index) => word === expected[index]);
}
