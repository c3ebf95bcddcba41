import type { PlantedBug } from "./catalogue.ts";

/** Mistakes of the operator: in what it writes, what it decides, and how it speaks to the API server. */
export const operatorMistakes: readonly PlantedBug[] = [
  {
    patch: "own-writes-not-awaited.patch",
    mistake: "a run is decided on before the caches show what was just written for it",
    test: {
      file: "operator/src/control/own-writes.test.ts",
      title: "hold a run back until the caches show all of them",
    },
  },
  {
    patch: "created-from-an-old-picture.patch",
    mistake: "a pod is created from a picture that may be an hour old",
    test: {
      file: "operator/src/control/apply.test.ts",
      title: "the run is read again where its status had not to be written",
    },
  },
  {
    patch: "foreign-claim-deleted.patch",
    mistake: "a claim is deleted though somebody has taken it over by its label",
    test: { file: "operator/src/control/apply.test.ts", title: "a claim is deleted" },
  },
  {
    patch: "status-without-version.patch",
    mistake: "the status is patched without the version that it was decided on",
    test: {
      file: "operator/test/apply.apiserver.test.ts",
      title: "does nothing at all on a picture that is old",
    },
  },
  {
    patch: "actions-after-an-error.patch",
    mistake: "actions go on after one of them failed",
    test: {
      file: "operator/test/apply.apiserver.test.ts",
      title: "stops at a creation that is refused",
    },
  },
  {
    patch: "older-refusal-told.patch",
    mistake: "of several things that were refused the one counts that was refused first",
    test: { file: "operator/src/core/refusal.test.ts", title: "the newest counts, in whatever order they came first" },
  },
  {
    patch: "room-put-off-by-room.patch",
    mistake: "a run that a quota refuses is put off anew by each pod that goes",
    test: {
      file: "operator/src/control/refusals.test.ts",
      title: "what goes while a run waits to be tried for what went before it puts that off no further",
    },
  },
  {
    patch: "failed-read-of-a-queue-repeated.patch",
    mistake: "what a queue says is asked again by every pass as long as it cannot be read",
    test: {
      file: "operator/src/control/queue-words.test.ts",
      title: "count as read where that failed: nobody asks again at once, and what was known stays",
    },
  },
  {
    patch: "amounts-of-others-told.patch",
    mistake: "what a run in a queue is told changes with all that others take and give back",
    test: {
      file: "operator/src/control/queue-words.test.ts",
      title: "is told without what others' coming and going changes",
    },
  },
  {
    patch: "deleted-by-name.patch",
    mistake: "an object is deleted by its name alone, whoever has it now",
    test: {
      file: "operator/test/client.apiserver.test.ts",
      title: "leaves an object of another uid alone",
    },
  },
  {
    patch: "name-taken-for-ours.patch",
    mistake: "whatever has the name of what was to be created counts as created",
    test: {
      file: "operator/test/apply.apiserver.test.ts",
      title: "counts a claim of the same run as created, and no other",
    },
  },
  {
    patch: "unreadable-taken-for-gone.patch",
    mistake: "a recorded pod that stands and cannot be read counts as gone",
    test: {
      file: "operator/src/control/recorded-pods.test.ts",
      title: "a recorded pod that cannot be read is not gone",
    },
  },
  {
    patch: "number-given-twice.patch",
    mistake: "the next attempt gets its number from a status that was set back",
    test: {
      file: "operator/src/core/decide.test.ts",
      title: "a status that was set back gives no number twice",
    },
  },
  {
    patch: "strays-kept.patch",
    mistake: "pods whose run was taken away past its finalizer keep ours",
    test: {
      file: "operator/src/control/operator.test.ts",
      title: "begins each term with a list of its own, and works on all that there is",
    },
  },
  {
    patch: "orphan-left-training.patch",
    mistake: "a pod that nobody owns is let go when its run is gone, and trains on for ever",
    test: { file: "operator/src/control/strays.test.ts", title: "a pod whose run is gone" },
  },
  {
    patch: "dropped-fields-believed.patch",
    mistake: "a status is written so that an older definition may drop the field that decides",
    test: {
      file: "operator/src/control/write-status.test.ts",
      title: "that decides is refused before anything is stored, and the field and what to do are named",
    },
  },
  {
    patch: "lost-record-believed.patch",
    mistake: "a status counts as written though an older definition took a field away that stood on record",
    test: {
      file: "operator/src/control/write-status.test.ts",
      title: "which stood on record and goes with another write",
    },
  },
  {
    patch: "unkept-intent-moves.patch",
    mistake: "a deleted run whose stop cannot be recorded waits from each pass anew",
    test: {
      file: "operator/src/core/deadline.test.ts",
      title: "where the intent cannot be kept and is decided anew in each pass (L5)",
    },
  },
  {
    patch: "queue-of-the-moment.patch",
    mistake: "a pod of a gang that is made later goes where the run's labels say by then",
    test: {
      file: "operator/src/core/queue-metadata.test.ts",
      title: "come where the others of their gang are",
    },
  },
  {
    patch: "agent-believed-by-address.patch",
    mistake: "whatever agent has the address now is believed",
    test: {
      file: "operator/src/control/agent-client.test.ts",
      title: "believes nothing of an agent",
    },
  },
  {
    patch: "silent-node-counts-as-ended.patch",
    mistake: "a pod on a node that is not ready counts as ended",
    test: {
      file: "operator/src/core/decide.test.ts",
      title: "on a silent node waits, and says for what",
    },
  },
  {
    patch: "forced-away-counts-as-ended.patch",
    mistake: "a pod that was taken away by force counts as ended, though its node is silent",
    test: {
      file: "operator/src/core/survey.test.ts",
      title: "a recorded pod that is gone from the API",
    },
  },
  {
    patch: "eviction-charged-as-failure.patch",
    mistake: "an eviction is charged to the failure budget",
    test: { file: "operator/src/core/disruption.test.ts", title: "never costs a failure" },
  },
  {
    patch: "exit-code-before-disruption.patch",
    mistake: "the exit code of the trainer is looked at before what disrupted its pod",
    test: { file: "operator/src/core/cause.test.ts", title: "how an attempt ended" },
  },
  {
    patch: "complete-without-verdict.patch",
    mistake: "a run is Complete by the word of its trainer alone",
    test: { file: "operator/src/core/cause.test.ts", title: "how an attempt ended" },
  },
  {
    patch: "budget-never-refilled.patch",
    mistake: "the failure budget is not refilled by progress",
    test: {
      file: "operator/src/core/learn.test.ts",
      title: "is refilled by progress within the lineage",
    },
  },
  {
    patch: "budget-refilled-by-repetition.patch",
    mistake: "the failure budget is refilled by a checkpoint of a step that was verified before",
    test: {
      file: "operator/src/core/learn.test.ts",
      title: "is refilled by progress within the lineage",
    },
  },
  {
    patch: "storm-without-back-off.patch",
    mistake: "attempts follow each other at once as long as the program is not at fault",
    test: {
      file: "operator/src/core/decide.property.test.ts",
      title: "a storm of disruptions backs off",
    },
  },
  {
    patch: "failure-not-charged.patch",
    mistake: "a failure spends nothing of the budget",
    test: {
      file: "operator/src/core/decide.test.ts",
      title: "crashes wait longer and longer and end the run",
    },
  },
  {
    patch: "poison-not-suspected.patch",
    mistake: "a checkpoint after which the run crashes again and again at one step is tried for ever",
    test: {
      file: "operator/src/core/decide.test.ts",
      title: "a checkpoint after which it crashes twice at the same step is suspected",
    },
  },
  {
    patch: "actions-before-the-status.patch",
    mistake: "actions are done before the status stands that holds their intent",
    test: {
      file: "operator/test/apply.apiserver.test.ts",
      title: "writes the status before the actions, and each of them once",
    },
  },
  {
    patch: "release-waits-for-ever.patch",
    mistake: "a deleted run waits for a silent pod without end",
    test: {
      file: "operator/src/core/decide.property.test.ts",
      title: "L5: a run deleted at any moment is let go",
    },
  },
  {
    patch: "older-list-accepted.patch",
    mistake: "a list that is older than what was seen is taken in at once",
    test: {
      file: "operator/src/kubernetes/reflector.test.ts",
      title: "waits for a server that only lags, and takes nothing old from it",
    },
  },
  {
    patch: "half-line-dropped.patch",
    mistake: "half a line at the end of a watch is dropped in silence",
    test: {
      file: "operator/src/kubernetes/watch-stream.test.ts",
      title: "gives what came whole and then says that the last line was cut off",
    },
  },
  {
    patch: "expired-history-watched-again.patch",
    mistake: "a watch whose history is gone is opened again from the same version",
    test: {
      file: "operator/test/reflector.apiserver.test.ts",
      title: "misses nothing when the watch",
    },
  },
  {
    patch: "replacement-merged.patch",
    mistake: "a deletion and a creation under one name are told as an update",
    test: {
      file: "operator/src/kubernetes/cache.test.ts",
      title: "tells a deletion and an addition when another uid has the name",
    },
  },
  {
    patch: "half-open-for-ever.patch",
    mistake: "a watch that should have ended long ago is waited for",
    test: {
      file: "operator/src/kubernetes/watch-stream.test.ts",
      title: "is given up where it is overdue although it never falls silent",
    },
  },
  {
    patch: "addition-lost-while-running.patch",
    mistake: "a key that is added while it is run is not run again",
    test: {
      file: "operator/src/kubernetes/work-queue.test.ts",
      title: "never runs a key twice at once, and runs it again where it was added meanwhile",
    },
  },
  {
    patch: "write-repeated-unasked.patch",
    mistake: "a write that may have been done is sent again",
    test: {
      file: "operator/src/kubernetes/retry.test.ts",
      title: "and may be done only once is sent again",
    },
  },
  {
    patch: "retry-after-ignored.patch",
    mistake: "a server that asks for patience is asked again at once",
    test: { file: "operator/src/kubernetes/retry.test.ts", title: "a request that failed" },
  },
  {
    patch: "requests-saved-up.patch",
    mistake: "a quiet hour earns requests for a storm",
    test: {
      file: "operator/src/kubernetes/request-limit.test.ts",
      title: "earns no more than a burst in a quiet time",
    },
  },
  {
    patch: "lease-trusted-after-a-suspension.patch",
    mistake: "a holder whose machine slept writes on",
    test: {
      file: "operator/src/kubernetes/lease.test.ts",
      title: "is in doubt while the wall clock has run ahead",
    },
  },
  {
    patch: "lease-held-to-its-last-second.patch",
    mistake: "a holder leads on until the very instant at which another may begin",
    test: {
      file: "operator/src/kubernetes/lease.test.ts",
      title: "lasts 10 s from when the renewal was sent",
    },
  },
  {
    patch: "leader-kept-by-another-name.patch",
    mistake: "a holder leads on although another name stands in the Lease",
    test: {
      file: "operator/src/kubernetes/leader-election.test.ts",
      title: "stops at once where another name is written into the Lease by hand",
    },
  },
  {
    patch: "lost-worker-replaced.patch",
    mistake: "only the worker of a gang that is lost is given another pod",
    test: {
      file: "operator/src/core/workers.test.ts",
      title: "never has a second pod for a worker whose first is gone",
    },
  },
  {
    patch: "loss-not-taken-back.patch",
    mistake: "the crash of a gang stays charged though a node of it turns out to be lost",
    test: { file: "operator/src/core/undecided-charge.test.ts", title: "is a disruption where within the minute" },
  },
  {
    patch: "word-said-again-counts.patch",
    mistake: "an attempt that says again which checkpoint it could not match counts as another",
    test: { file: "operator/src/core/node-suspicion.test.ts", title: "has one word of each attempt against it" },
  },
  {
    patch: "word-after-word-of-all.patch",
    mistake: "the words of two nodes about two checkpoints condemn both",
    test: {
      file: "operator/src/core/node-suspicion.test.ts",
      title: "is tried again though another node says so of another",
    },
  },
  {
    patch: "refusal-withholds-mending.patch",
    mistake: "a pod that was found without its labels waits for them until no other is refused",
    test: {
      file: "operator/src/control/apply.test.ts",
      title: "which has back what it lacks though another is refused",
    },
  },
  {
    patch: "recorded-taken-for-a-stray.patch",
    mistake: "a pod that is on record is stopped as another run's, because its label says so",
    test: { file: "operator/src/control/strays.test.ts", title: "is left alone where it is on record" },
  },
  {
    patch: "group-of-the-others-missed.patch",
    mistake: "pods of a gang that an older version began are made outside the group that the others wait in",
    test: { file: "operator/src/core/queue-metadata.test.ts", title: "are asked for so" },
  },
];
