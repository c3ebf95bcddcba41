import type { PlantedBug } from "./catalogue.ts";

/** Mistakes of the checkpoint library and the agent: in the log, in what is resumed from, kept and mirrored, and in bytes. */
export const storageMistakes: readonly PlantedBug[] = [
  {
    patch: "bytes-not-synced.patch",
    mistake: "a file gets its name before its bytes are durable",
    test: {
      file: "e2e/simulation/host/files-store.test.ts",
      title: "cut off anywhere, leaves the previous state or the new one, whole",
    },
  },
  {
    patch: "names-not-synced.patch",
    mistake: "a record counts before its name is durable",
    test: {
      file: "e2e/simulation/host/files-store.test.ts",
      title: "cut off anywhere, leaves the previous state or the new one, whole",
    },
  },
  {
    patch: "published-before-durable.patch",
    mistake: "a checkpoint gets its name before the names within it are durable",
    test: {
      file: "e2e/simulation/host/files-store.test.ts",
      title: "cut off anywhere, leaves the previous state or the new one, whole",
    },
  },
  {
    patch: "taken-number-is-an-error.patch",
    mistake: "a number that another took fails the append",
    test: { file: "checkpoint/src/log/append.test.ts", title: "gives 20 racing tasks 20 numbers" },
  },
  {
    patch: "lost-reply-not-known-again.patch",
    mistake: "a record whose reply was lost is taken for another writer's",
    test: { file: "checkpoint/src/log/append.test.ts", title: "counts a lost reply as success" },
  },
  {
    patch: "append-not-confirmed.patch",
    mistake: "a number that was free counts as won, though a pruning had freed it",
    test: {
      file: "checkpoint/src/log/append.test.ts",
      title: "finds out that it slept through a pruning",
    },
  },
  {
    patch: "fence-too-low.patch",
    mistake: "the attempt right below the open one may still write",
    test: {
      file: "checkpoint/src/log/fold.test.ts",
      title: "is one history: no record counts after a higher open",
    },
  },
  {
    patch: "attempt-opened-twice.patch",
    mistake: "two pods may open one attempt",
    test: {
      file: "checkpoint/src/log/fold.test.ts",
      title: "an attempt is opened by one pod: the second is void",
    },
  },
  {
    patch: "open-before-verification.patch",
    mistake: "the newest checkpoint is resumed from although it does not verify",
    test: {
      file: "checkpoint/src/restore.test.ts",
      title: "refuses a damaged checkpoint by name, takes the one before",
    },
  },
  {
    patch: "unreadable-tier-is-empty.patch",
    mistake: "a tier that cannot be read counts as empty",
    test: {
      file: "checkpoint/src/restore.test.ts",
      title: "does not take a tier that cannot be read for an empty one",
    },
  },
  {
    patch: "step-0-when-none-verifies.patch",
    mistake: "a run of which nothing verifies begins again at step 0",
    test: {
      file: "checkpoint/src/restore.test.ts",
      title: "never begins again at step 0 by itself when nothing verifies",
    },
  },
  {
    patch: "fenced-agent-prunes-on.patch",
    mistake: "an agent whose attempt was overtaken goes on removing what it had given a tombstone",
    test: { file: "checkpoint/src/prune.test.ts", title: "pruning" },
  },
  {
    patch: "one-newer-is-enough.patch",
    mistake: "a checkpoint may go as soon as one newer one is verified",
    test: { file: "checkpoint/src/retention.test.ts", title: "retention" },
  },
  {
    patch: "base-not-kept.patch",
    mistake: "retention wants to remove the base of the last open",
    test: { file: "checkpoint/src/retention.test.ts", title: "retention" },
  },
  {
    patch: "evidence-removed.patch",
    mistake: "a refused checkpoint is removed before its day as evidence is over",
    test: { file: "checkpoint/src/retention.test.ts", title: "retention" },
  },
  {
    patch: "refused-kept-for-good.patch",
    mistake: "a refused checkpoint keeps its room for good while fewer than two are verified",
    test: {
      file: "checkpoint/src/retention.test.ts",
      title: "lets evidence go after its window though fewer than two are verified at all",
    },
  },
  {
    patch: "rollback-ends-saving.patch",
    mistake: "what a rollback left behind stays until two are verified, though no save has room beside it",
    test: {
      file: "checkpoint/src/retention.property.test.ts",
      title: "lets the saving go on, once all is verified or refused",
    },
  },
  {
    patch: "rollback-not-undoable.patch",
    mistake: "a byte budget that is tight takes all that a rollback left behind",
    test: {
      file: "checkpoint/src/retention-left-behind.test.ts",
      title: "has the policy shrink in the byte budget while nothing that was saved since is verified",
    },
  },
  {
    patch: "way-back-costs-all-rules.patch",
    mistake: "all that only a rule keeps goes for the way back from a rollback, and not as much as that takes",
    test: {
      file: "checkpoint/src/retention.property.test.ts",
      title: "lets no more of the present history go for the way back than that takes",
    },
  },
  {
    patch: "unmarked-base-left.patch",
    mistake:
      "what an older release had resumed from without a mark is skipped after an upgrade, though a user has named it",
    test: {
      file: "checkpoint/src/choose-base.test.ts",
      title: "is kept to while its attempt has saved nothing",
    },
  },
  {
    patch: "refused-resumed-from.patch",
    mistake: "a checkpoint that was refused is a candidate again",
    test: { file: "checkpoint/src/log/fold.test.ts", title: "what a log says" },
  },
  {
    patch: "oldest-first.patch",
    mistake: "a resume takes the oldest checkpoint of its lineage",
    test: { file: "checkpoint/src/candidates.test.ts", title: "candidates for a resume" },
  },
  {
    patch: "half-upload-counts.patch",
    mistake: "an upload that was cut off counts as mirrored",
    test: { file: "checkpoint/src/tiers/mirror.test.ts", title: "What is mirrored already" },
  },
  {
    patch: "done-without-reading-back.patch",
    mistake: "the final checkpoint counts as final without having been read back",
    test: {
      file: "checkpoint/src/save.test.ts",
      title: "reads the final checkpoint back first, and takes none that does not match",
    },
  },
  {
    patch: "termination-record-too-long.patch",
    mistake: "the agent's last word is longer than a kubelet lets through",
    test: {
      file: "agent/src/record-size.test.ts",
      title: "messages of refusals go first, metrics of the newest checkpoint last",
    },
  },
  {
    patch: "shard-missing.patch",
    mistake: "what a gang saved becomes a checkpoint before the last shard is there",
    test: {
      file: "checkpoint/src/shards/shards.test.ts",
      title: "become one checkpoint, of which nothing is seen before the last of them is there",
    },
  },
  {
    patch: "shard-sealed-before-durable.patch",
    mistake: "a worker seals its shard before the names in it are durable",
    test: {
      file: "e2e/simulation/host/files-store.test.ts",
      title: "cut off anywhere, leaves the previous state or the new one, whole",
    },
  },
  {
    patch: "shards-of-two-bases.patch",
    mistake: "shards of workers that resumed from two checkpoints become one",
    test: {
      file: "checkpoint/src/shards/shards.test.ts",
      title: "shards that do not belong together are named and never committed",
    },
  },
  {
    patch: "follower-begins-unopened.patch",
    mistake: "a worker begins where an earlier attempt was opened, without waiting for worker 0",
    test: { file: "checkpoint/src/follow.test.ts", title: "waits for worker 0 and says so, once" },
  },
  {
    patch: "fit-judged-after-open.patch",
    mistake: "an attempt is opened on a checkpoint before it is asked whether that fits it",
    test: {
      file: "agent/test/environment-check.test.ts",
      title: "another image or another kind of node is refused before the trainer starts, both sides named",
    },
  },
  {
    patch: "agent-mends-nothing.patch",
    mistake: "an agent refuses a copy on the volume that the object store has whole",
    test: { file: "agent/src/serve/keeper.test.ts", title: "is mended from the object store, and not refused" },
  },
  {
    patch: "agent-suspects-no-node.patch",
    mistake: "an agent refuses one checkpoint after the other that had been whole, and never suspects its node",
    test: {
      file: "agent/src/serve/keeper.test.ts",
      title: "is not refused together with another: the node is suspected, and all that fails there stays",
    },
  },
  {
    patch: "one-moment-refuses.patch",
    mistake: "an agent refuses for good what its node could not match for a moment",
    test: {
      file: "agent/src/serve/keeper.test.ts",
      title: "is whole again where its device had failed for less than that",
    },
  },
  {
    patch: "confirmed-clears-the-node.patch",
    mistake: "a checkpoint that is known to be bad clears the node on which others do not match",
    test: {
      file: "agent/src/serve/keeper.test.ts",
      title: "is not refused together with two others because one of them is known to be bad",
    },
  },
  {
    patch: "mended-while-fenced.patch",
    mistake: "an agent that was cut off replaces a checkpoint from which its successor may have resumed",
    test: {
      file: "agent/src/serve/keeper-verdict.test.ts",
      title: "takes no place once another attempt has opened the log (I1)",
    },
  },
  {
    patch: "mended-copy-unread.patch",
    mistake: "a mended copy takes the place of the old one before anybody has read it back",
    test: {
      file: "agent/src/serve/keeper-verdict.test.ts",
      title: "leaves the old copy where it does not stay whole itself",
    },
  },
  {
    patch: "verified-forgotten-at-restart.patch",
    mistake: "an agent that is started again in its pod has forgotten what had been whole",
    test: { file: "agent/src/serve/keeper.test.ts", title: "what was verified is not read again" },
  },
  {
    patch: "unsynced-commit-verified.patch",
    mistake: "a commit whose sync failed counts as verified",
    test: {
      file: "agent/src/serve/keeper-verdict.test.ts",
      title: "a commit that is not durable for certain is not said to be whole (I3)",
    },
  },
  {
    patch: "follower-unmatched.patch",
    mistake: "a worker takes what worker 0 has matched, though its own bytes differ",
    test: { file: "checkpoint/src/follow.test.ts", title: "in what worker 0 has matched, and refuses nothing" },
  },
  {
    patch: "overtaken-worker-waits-on.patch",
    mistake: "a worker of an attempt that was overtaken waits on for its commit",
    test: {
      file: "checkpoint/src/shards/shards.test.ts",
      title: "is told when another attempt has taken over, and ends when it is told to",
    },
  },
];
