import { nothingExpected } from "../../src/contract/pod-environment.ts";
import { bytesFile } from "../../src/file-source.ts";
import { healthy } from "../../src/health.ts";
import { appendRecordAfter } from "../../src/log/append.ts";
import { readLog } from "../../src/log/read.ts";
import type { RunState } from "../../src/log/state.ts";
import { prune } from "../../src/prune.ts";
import { restoreRun } from "../../src/restore.ts";
import { type SaveRequest, saveCheckpoint } from "../../src/save.ts";
import { type Program, runUid } from "./processes.ts";

export const time = "2026-01-01T00:00:00.000Z";

/** A save of that step of which every byte is the same in every run of the model. */
export function saveOf(step: number, attempt: number): SaveRequest {
  return {
    runUid,
    attempt,
    step,
    parent: null,
    files: [bytesFile("model.bin", "opaque", Uint8Array.of(step, attempt))],
    metrics: [],
    health: healthy,
    producer: { name: "model", version: "1" },
    time,
    writer: `save-${step}-${attempt}`,
  };
}

/** The restore of a pod: tells `opened <attempt> at <step>`. */
export function restorer(attempt: number, pod = `pod-${attempt}`): Program {
  return {
    name: `restore of ${pod}`,
    run: async (store) => {
      const who = { runUid, attempt, podUid: pod, node: "n", generation: 1 };
      const outcome = await restoreRun(store, { ...who, expected: nothingExpected });
      if (outcome.kind === "failed") return `failed ${outcome.failure}: ${outcome.message}`;
      return `opened ${attempt} at ${outcome.restored.resume?.step ?? 0}`;
    },
  };
}

/** A rollback that a user asked for: the attempt opens on that step, whatever is newer. */
export function rollback(attempt: number, step: number): Program {
  return {
    name: `rollback to ${step}`,
    run: async (store) => {
      const who = { runUid, attempt, podUid: `pod-${attempt}`, node: "n", generation: 2 };
      const outcome = await restoreRun(store, { ...who, expected: { ...nothingExpected, base: { step } } });
      if (outcome.kind === "failed") return `failed ${outcome.failure}: ${outcome.message}`;
      return `opened ${attempt} at ${outcome.restored.resume?.step ?? 0}`;
    },
  };
}

/** A trainer that saves one step, once its attempt is open: tells `saved <step> of <attempt>`. */
export function trainer(attempt: number, step: number): Program {
  return {
    name: `trainer of attempt ${attempt}`,
    run: async (store, { waitFor }) => {
      if (attempt > 1) await waitFor(`opened ${attempt}`);
      await saveCheckpoint(store, saveOf(step, attempt));
      return `saved ${step} of ${attempt}`;
    },
  };
}

/** What a pass keeps that wants only the newest, where all are verified. */
export function retentionOf(state: RunState) {
  const verified = state.checkpoints.map(({ digest }) => digest);
  return { policy: { last: 1, best: null, everySteps: null, maxBytes: null }, verified, recorded: [], now: time };
}

/** A retention pass of that attempt: tells `pruned`. */
export function pruner(attempt: number): Program {
  return {
    name: `retention of attempt ${attempt}`,
    run: async (store, { waitFor }) => {
      if (attempt > 1) await waitFor(`opened ${attempt}`);
      await prune(store, { attempt, ...retentionOf((await readLog(store)).state) });
      return "pruned";
    },
  };
}

/** A disk that damages the newest record, once, at any instant. */
export function damage(): Program {
  return {
    name: "damage",
    run: async (_, { disk, turn }) => {
      await turn("damage the newest record");
      const newest = Math.max(...disk.records.keys());
      disk.records.set(newest, new TextEncoder().encode(`damaged ${newest}`));
      return `damaged ${newest}`;
    },
  };
}

/** The same program, whose first reply of a created record is lost: its client tries again, and is told that it is taken. */
export function withLostReply(program: Program): Program {
  return {
    ...program,
    name: `${program.name}, a reply lost`,
    through: (store) => {
      let lost = false;
      return {
        ...store,
        createRecord: async (number, bytes) => {
          const answer = await store.createRecord(number, bytes);
          if (lost || answer === "taken") return answer;
          lost = true;
          return "taken";
        },
      };
    },
  };
}

/** Attempt 1 of pod `pod-1` opens an empty log. */
export function opener(): Program {
  return {
    name: "open",
    run: async (store) => {
      const draft = { kind: "open", attempt: 1, podUid: "pod-1", node: "n", base: null, generation: 1, time } as const;
      await appendRecordAfter(store, draft, { after: 0 });
      return "opened 1 at 0";
    },
  };
}
