import { isFailing, isNodeSuspect, type View } from "./keeper-deed.ts";
import { patienceMs, type Unmatched } from "./keeper-unmatched.ts";
import type { Problem } from "./knowledge.ts";

/** What people are told of the checkpoints that a node does not match: of each kind the newest, in words that stay the same. */
export function unmatchedProblems(view: View, node: string): readonly Problem[] {
  const entries = [...view.entries.values()].sort((a, b) => b.ref.step - a.ref.step);
  if (isNodeSuspect(view)) return [suspicion(entries.filter(isFailing), node)];
  const problems = entries.flatMap((entry) => problemOf(entry) ?? []);
  return [...new Map(problems.toReversed().map((problem) => [problem.reason, problem])).values()];
}

function suspicion(failing: readonly Unmatched[], node: string): Problem {
  const which = failing.map(({ ref, found }) => `step ${ref.step} ${found.reason}`).slice(0, 4);
  const message = `Checkpoints do not verify on node ${node}: ${which.join(", ")}. None of them is refused for it: the attempt is to go on on another node, and this one's memory and mounts are to be tested.`;
  return { reason: "NodeSuspect", message };
}

function problemOf({ ref, found, fate, putOff }: Unmatched): Problem | null {
  switch (fate) {
    case "OutOfSight":
    case "Doubted":
      return null;
    case "Missing":
      return { reason: "CheckpointMissing", message: found.message };
    case "PutOff":
      return { reason: "RepairPutOff", message: `Step ${ref.step} is not mended yet: ${putOff}. ${found.message}` };
    case "Held": {
      const minutes = patienceMs / 60_000;
      const message = `Step ${ref.step} does not verify, and is refused if it is the only one that does not for ${minutes} minutes: ${found.message}`;
      return { reason: "CheckpointUnmatched", message };
    }
    case "NotKept": {
      const message = `Another copy of step ${ref.step} is whole, and what was written of it to the volume does not verify: ${found.message}`;
      return { reason: "CopyNotKept", message };
    }
    default:
      return fate satisfies never;
  }
}
