import { conditionOf } from "../harness/run-view.ts";
import type { WatchedRun } from "./interrupted-run.ts";
import type { Check, DemoReport } from "./report.ts";

type Seen = Readonly<{
  interrupted: WatchedRun & { weights: string };
  undisturbed: WatchedRun & { weights: string };
  scraped: DemoReport["scraped"];
  planned: number;
}>;

/** Every promise of the demo, each held against what was seen. */
export function checksOf({ interrupted, undisturbed, scraped, planned }: Seen): readonly Check[] {
  const { run, interruptions } = interrupted;
  const { attempts, refused, retry } = run.status;
  const causes = attempts.toReversed().map(({ cause }) => cause ?? "none");
  const graceful = interruptions.filter(({ kind }) => kind !== "SIGKILL" && kind !== "damaged checkpoint");
  const lost = (attempt: number) => attempts.find(({ number }) => number === attempt)?.lostSteps;
  const damaged = interruptions.find(({ kind }) => kind === "damaged checkpoint");
  const afterDamage = attempts.find(({ number }) => number === (damaged?.attempt ?? 0) + 1);
  const missing = scraped.filter(({ value }) => value === "nothing");
  return [
    check(
      "both trainings completed",
      isComplete(run) && isComplete(undisturbed.run),
      `${run.status.state}, ${undisturbed.run.status.state}`,
    ),
    check(
      "the final weights are the same, byte for byte",
      interrupted.weights === undisturbed.weights && interrupted.weights !== "none",
      interrupted.weights,
    ),
    check(
      "the run was interrupted as often as planned",
      interruptions.length === planned,
      `${interruptions.length} of ${planned}`,
    ),
    check(
      "the undisturbed run was not",
      undisturbed.run.status.attempts.length === 1,
      `${undisturbed.run.status.attempts.length} attempt`,
    ),
    check(
      "each end was told apart: eviction and preemption are disruptions, the kill is a crash, the pause is neither",
      sameWords(causes, ["Drained", "Drained", "Preempted", "Crashed", "Suspended", "Complete"]),
      causes.join(", "),
    ),
    check("no disruption was charged as a failure", retry?.disruptions === 3, `${retry?.disruptions} disruptions`),
    check(
      "nothing was lost where the pod could save",
      graceful.every(({ attempt }) => lost(attempt) === 0),
      graceful.map(({ attempt }) => `${lost(attempt)}`).join(", "),
    ),
    check(
      "the flipped bit was found and that checkpoint refused",
      refused.length === 1 && refused[0]?.reason === "BytesDiffer",
      refused.map(({ step, reason, message }) => `step ${step}: ${reason}, ${message}`).join("; ") || "nothing refused",
    ),
    check(
      "the attempt after it used an older checkpoint",
      afterDamage?.resumedFrom !== undefined && afterDamage.resumedFrom.step < (refused[0]?.step ?? 0),
      `step ${afterDamage?.resumedFrom?.step}`,
    ),
    check(
      "Prometheus scraped operator and agent",
      missing.length === 0,
      missing.map(({ query }) => query).join("; ") || `${scraped.length} queries answered`,
    ),
  ];
}

function isComplete(run: WatchedRun["run"]): boolean {
  return conditionOf(run, "Complete")?.status === "True";
}

function check(what: string, held: boolean, seen: string): Check {
  return { what, held, seen };
}

function sameWords(words: readonly string[], expected: readonly string[]): boolean {
  return words.length === expected.length && words.every((word, index) => word === expected[index]);
}
