import type { PodPart } from "./history.ts";
import type { Check, Inquiry } from "./oracle.ts";
import type { LogTruth } from "./truth.ts";
import type { World } from "./world.ts";

/** S1: one history in every tier. */
const oneHistory: Check = {
  id: "S1",
  guards: "I1",
  says: "every reader sees one history, in which no attempt is opened by two pods and nothing fenced counts",
  begin: (inquiry) => {
    inquiry.on("Record", ({ store, run, number, record, atMs }, world) => {
      const log = world.log(store, run);
      const { outcome } = log;
      if (record.kind === "open" && outcome.void === null) {
        const openers = [...(log.openers.get(record.attempt) ?? [])];
        inquiry.expect(openers.length === 1, atMs, () => `attempt ${record.attempt} of ${run} is opened by ${openers}`);
        const lost = [...log.checkpoints.keys()].filter(
          (digest) => !record.state.checkpoints.some((ref) => ref.digest === digest),
        );
        inquiry.expect(lost.length === 0, atMs, () => `record ${number} of ${store}, an open, leaves out ${lost}`);
      }
    });
    inquiry.on("LogRead", ({ store, run, state, atMs }, world) => {
      const log = world.log(store, run);
      if (log.isDoubtful) return;
      const difference = differenceOf(log, {
        last: state.last,
        opened: state.opened && { attempt: state.opened.attempt, podUid: state.opened.podUid, base: state.opened.base },
        checkpoints: state.checkpoints.map(({ digest }) => digest),
        refused: state.refused.map(({ digest }) => digest),
        done: state.done?.manifest ?? null,
      });
      inquiry.expect(difference === null, atMs, () => `${store} of ${run} is read otherwise: ${difference}`);
    });
    inquiry.on("Acknowledged", ({ store, run, digest, attempt, atMs }, world) => {
      const counted = world.log(store, run).everCounted.has(digest);
      inquiry.expect(
        counted,
        atMs,
        () => `attempt ${attempt} of ${run} was told that ${digest} counts, and it does not`,
      );
    });
  },
};

/** S2: training starts from verified bytes of the base. */
const verifiedResume: Check = {
  id: "S2",
  guards: "I2",
  says: "what a trainer loads is the base that its own pod opened on, and was not refused",
  begin: (inquiry) => {
    inquiry.on("Restored", (part, world) => {
      const { run, attempt, pod, resume, atMs } = part;
      const opened = world.logsOf(run).filter((log) => opensFor(log, part));
      inquiry.expect(opened.length > 0, atMs, () => `attempt ${attempt} of ${run} was handed over, and has not opened`);
      const base = resume?.digest ?? null;
      const isBase = opened.length === 0 || opened.some((log) => log.baseOf(attempt) === base);
      inquiry.expect(isBase, atMs, () => `attempt ${attempt} of ${run} was handed ${base}, and opened on another`);
      const isMatched = base === null || world.hasMatched(pod, base);
      inquiry.expect(isMatched, atMs, () => `${pod} handed over ${base} of ${run} without having read all of it`);
    });
    inquiry.on("Loaded", (part, world) => {
      const { run, attempt, digest, atMs } = part;
      const logs = world.logsOf(run);
      const isBase = logs.some((log) => opensFor(log, part) && log.baseOf(attempt) === digest);
      inquiry.expect(
        isBase,
        atMs,
        () => `attempt ${attempt} of ${run} loaded ${digest}, which is not what it opened on`,
      );
      const isRefused = logs.some((log) => log.refused.has(digest));
      inquiry.expect(!isRefused, atMs, () => `attempt ${attempt} of ${run} loaded ${digest}, which was refused`);
    });
  },
};

/** S3: a checkpoint is whole or not there. */
const atomic: Check = {
  id: "S3",
  guards: "I3",
  says: "what is read of a checkpoint is what its writer had, and no loss of power takes one that was acknowledged",
  begin: (inquiry) => {
    inquiry.on("Loaded", ({ run, digest, worker, content, atMs }, world) => {
      const sealed = world.shareOf({ run, digest }, worker);
      inquiry.expect(
        sealed === content,
        atMs,
        () => `${digest} of ${run} was loaded as ${content} and saved as ${sealed}`,
      );
    });
    inquiry.on("Contents", ({ store, run, whole, atMs }, world) => {
      for (const { digest, content } of whole) {
        const sealed = world.contentOf({ run, digest });
        inquiry.expect(
          sealed === content,
          atMs,
          () => `${digest} of ${run} in ${store} is ${content}, saved as ${sealed}`,
        );
      }
    });
    inquiry.on("Committed", ({ run, step, attempt, lacking, atMs }, world) => {
      if (inquiry.runOf(world, run)?.isDamaged) return;
      const what = `step ${step} of attempt ${attempt} of ${run} is committed, and not durable: ${lacking}`;
      inquiry.expect(lacking.length === 0, atMs, () => what);
    });
    inquiry.on("RecordsGone", ({ store, run, why, numbers, atMs }, world) => {
      if (why !== "Cut") return;
      const log = world.log(store, run);
      for (const [key, at] of world.acknowledged) {
        const [owner, digest = ""] = key.split(" ");
        if (owner !== run || at !== store) continue;
        const what = `the power took records ${numbers} of ${store}, and with them ${digest}, which was acknowledged`;
        inquiry.expect(log.everCounted.has(digest), atMs, () => what);
      }
    });
  },
};

/** S5: the last good checkpoints stay. */
const lastGoodKept: Check = {
  id: "S5",
  guards: "I6",
  says: "a checkpoint goes only after a tombstone, with two newer ones verified, and never the base or fresh evidence",
  begin: (inquiry) => {
    inquiry.on("Removed", ({ store, run, directory, atMs }, world) => {
      const deletedAtMs = world.runs.get(run)?.deletedAtMs ?? null;
      if (deletedAtMs !== null && inquiry.runOf(world, run)?.deletionPolicy === "Delete") return;
      const log = world.log(store, run);
      const standing = [...log.checkpoints.values()].find((known) => known.directory === directory);
      const what = `${directory} of ${run} was removed from ${store}, and ${standing?.digest} still counts`;
      inquiry.expect(standing === undefined, atMs, () => what);
    });
    inquiry.on("Record", ({ store, run, record, atMs }, world) => {
      if (record.kind !== "delete") return;
      const log = world.log(store, run);
      for (const gone of log.outcome.deleted) {
        if (gone.refusedAtMs !== null)
          judgeEvidence(inquiry, { ...gone, refusedAtMs: gone.refusedAtMs, atMs, run }, world);
        else judgeNewer(inquiry, { ...gone, atMs, run }, { world, log });
      }
    });
  },
};

/** S9: nothing starts anew in silence. */
const noSilentRestart: Check = {
  id: "S9",
  guards: "I10",
  says: "a trainer begins at step 0 only where no checkpoint ever counted, or the run asked to start over",
  begin: (inquiry) => {
    inquiry.on("BeganFresh", ({ run, attempt, atMs }, world) => {
      const expected = inquiry.runOf(world, run);
      // Without a volume, what was not uploaded went with its pod.
      const lasting = world.logsOf(run, expected?.hasVolume === false ? "bucket" : "");
      const had = lasting.flatMap((log) => [...log.everCounted]);
      const mayStartOver = expected?.noneVerified === "StartOver";
      const what = `attempt ${attempt} of ${run} began at step 0, and there was ${had.at(-1)}`;
      inquiry.expect(had.length === 0 || mayStartOver, atMs, () => what);
    });
  },
};

/** S1, S2, S3, S5, S9: what is promised of checkpoints. */
export const checkpointSafety: readonly Check[] = [oneHistory, verifiedResume, atomic, lastGoodKept, noSilentRestart];

/** Worker 0 opens the log for all of its attempt. */
function opensFor(log: LogTruth, { attempt, worker, pod }: PodPart): boolean {
  const openers = log.openers.get(attempt);
  return openers !== undefined && (worker !== 0 || openers.has(pod));
}

type Gone = Readonly<{ run: string; digest: string; step: number; atMs: number }>;

function judgeEvidence(inquiry: Inquiry, gone: Gone & Readonly<{ refusedAtMs: number }>, world: World): void {
  const evidenceMs = inquiry.runOf(world, gone.run)?.evidenceMs ?? 0;
  const age = gone.atMs - gone.refusedAtMs;
  inquiry.expect(age >= evidenceMs, gone.atMs, () => `${gone.digest}, refused ${age} ms ago, was deleted as evidence`);
}

function judgeNewer(
  inquiry: Inquiry,
  { run, digest, step, atMs }: Gone,
  { world, log }: { world: World; log: LogTruth },
) {
  const newer = log
    .lineage()
    .filter((known) => known.step > step && !log.refused.has(known.digest))
    .filter((known) => known.digest === log.opened?.base || world.isVerified({ run, digest: known.digest }));
  const what = `${digest} of step ${step} was deleted, and of the newer ones of ${run} ${newer.length} are verified`;
  inquiry.expect(newer.length >= 2, atMs, () => what);
}

type Reading = Readonly<{
  last: number;
  opened: Readonly<{ attempt: number; podUid: string; base: string | null }> | null;
  checkpoints: readonly string[];
  refused: readonly string[];
  done: string | null;
}>;

function differenceOf(log: LogTruth, read: Reading): string | null {
  const opened = log.opened && { attempt: log.opened.attempt, podUid: log.opened.podUid, base: log.opened.base };
  const pairs = {
    last: [read.last, log.last],
    opened: [read.opened, opened],
    checkpoints: [read.checkpoints.toSorted(), [...log.checkpoints.keys()].sort()],
    refused: [read.refused.toSorted(), [...log.refused.keys()].sort()],
    done: [read.done, log.done],
  };
  for (const [what, [is, should]] of Object.entries(pairs)) {
    const [seen, truth] = [JSON.stringify(is), JSON.stringify(should)];
    if (seen !== truth) return `${what} ${seen} in place of ${truth}`;
  }
  return null;
}
