import type { PlantedBug } from "./catalogue.ts";

/** Mistakes about what is waited for, asked again or taken for there: statuses, refusals, stalls, queues and gangs. */
export const waitingMistakes: readonly PlantedBug[] = [
  {
    patch: "held-ends-a-row.patch",
    mistake: "a status that waits to be told ends the row of failures of one that is refused",
    test: { file: "operator/src/control/reconcile.test.ts", title: "is not settled while it waits to tell" },
  },
  {
    patch: "intent-held-back.patch",
    mistake: "what a decision rests on waits to be written as if it only told something",
    test: {
      file: "operator/src/control/held-statuses.test.ts",
      title: "is written at once, with all that it tells, where it has",
    },
  },
  {
    patch: "refusal-never-rarer.patch",
    mistake: "what is refused for long is tried as often as what was refused just now",
    test: {
      file: "operator/src/core/refusal.test.ts",
      title: "is tried again after as long as it has been refused already",
    },
  },
  {
    patch: "refusal-not-waited-for.patch",
    mistake: "what was refused is tried again at once",
    test: {
      file: "operator/src/core/refusal.test.ts",
      title: "is tried again after as long as it has been refused already",
    },
  },
  {
    patch: "adopted-whoever-owns-it.patch",
    mistake: "a pod counts as the one that was created by its name alone, whoever owns it",
    test: { file: "operator/src/control/apply.test.ts", title: "which is left alone where it is one that" },
  },
  {
    patch: "group-of-all-attempts.patch",
    mistake: "the pods of all attempts of a gang are one group in its queue",
    test: {
      file: "operator/src/core/queue-metadata.test.ts",
      title: "are no group of another attempt's, nor of a namesake's",
    },
  },
  {
    patch: "stall-never-stopped.patch",
    mistake: "an attempt goes on although its agent says that the trainer stands still",
    test: {
      file: "operator/src/core/stall.test.ts",
      title: "is stopped as Stalled, with what its process was doing in the ledger, in one write",
    },
  },
  {
    patch: "step-ends-no-stall.patch",
    mistake: "a new step does not begin the time anew after which a trainer has stalled",
    test: { file: "agent/src/serve/stall-watch.test.ts", title: "steps that are done are no stall" },
  },
  {
    patch: "last-evaluation-untold.patch",
    mistake: "an evaluation after the last step is taken for a step that does not come",
    test: {
      file: "trainer/src/training-loop.test.ts",
      title: "while the evaluation after the last step runs, progress says that no further step is to come",
    },
  },
  {
    patch: "all-wait-for-one-read.patch",
    mistake: "all passes over runs of a queue wait while one reads what it says",
    test: {
      file: "operator/src/control/queue-words.test.ts",
      title: "is waited for by the pass that began it alone",
    },
  },
  {
    patch: "told-words-forgotten.patch",
    mistake: "an operator that has begun to lead takes a queue's words out of a run's status",
    test: {
      file: "operator/src/control/queue-words.test.ts",
      title: "is not waited for where an operator that led before has told",
    },
  },
  {
    patch: "gang-service-not-missed.patch",
    mistake: "a gang's Service that is gone is taken for there",
    test: { file: "operator/src/control/gang-services.test.ts", title: "is absent where one" },
  },
  {
    patch: "save-asked-of-each-worker.patch",
    mistake: "each worker of a gang is asked for a save of its own",
    test: { file: "operator/src/control/save-requests.test.ts", title: "is passed to worker 0's agent alone" },
  },
];
