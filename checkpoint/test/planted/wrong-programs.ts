import { candidates } from "../../src/candidates.ts";
import { appendRecord, appendRecordAfter } from "../../src/log/append.ts";
import { readLog } from "../../src/log/read.ts";
import { type LogRecord, recordBytes } from "../../src/log/record.ts";
import { manifestBytes } from "../../src/manifest.ts";
import { retain } from "../../src/retention.ts";
import { commitOf } from "../../src/save.ts";
import { StorageUnavailableError, type Store } from "../../src/store/store.ts";
import type { Program } from "../model/processes.ts";
import { pruner, restorer, retentionOf, time, trainer } from "../model/programs.ts";
import { writeStep } from "./mistakes.ts";

/** A mistake in the protocol of the log: who makes it, beside whom it must show, and on which disk. */
export type WrongCast = Readonly<{
  mistake: string;
  /** Whether the newest of three checkpoints is damaged, or all are whole. */
  disk: "whole" | "newest damaged";
  programs: readonly Program[];
  /** What the exploration has to say. */
  shows: RegExp;
}>;

export const wrongCasts: readonly WrongCast[] = [
  {
    mistake: "delete without a tombstone",
    disk: "whole",
    programs: [removing(["remove"])],
    shows: /in the log and its bytes are not there/,
  },
  {
    mistake: "tombstone after removal",
    disk: "whole",
    programs: [removing(["remove", "tombstone"])],
    shows: /in the log and its bytes are not there/,
  },
  {
    mistake: "no fence check",
    disk: "whole",
    programs: [savingUnfenced(1, 40), restorer(2)],
    shows: /was acknowledged and does not count/,
  },
  {
    mistake: "attempt number reused",
    disk: "whole",
    programs: [restorer(2, "pod-2"), restorer(2, "pod-2")],
    shows: /two pods have opened one attempt/,
  },
  {
    mistake: "open without verification of the base",
    disk: "newest damaged",
    programs: [openingUnverified(2)],
    shows: /resumed from bytes that do not match/,
  },
  {
    mistake: "treat EEXIST as failure",
    disk: "whole",
    programs: [refusingToRace(trainer(1, 40)), pruner(1)],
    shows: /failed and was not fenced/,
  },
  {
    mistake: "commit before data durable",
    disk: "whole",
    programs: [committingFirst(1, 40)],
    shows: /in the log and its bytes are not there/,
  },
];

/** Retention with its last acts in this order. */
function removing(acts: readonly ("remove" | "tombstone")[]): Program {
  return {
    name: "retention in a wrong order",
    run: async (store) => {
      const { state } = await readLog(store);
      const gone = retain({ state, ...retentionOf(state) }).remove.map(({ ref }) => ref);
      const manifests = gone.map(({ digest }) => digest);
      for (const act of acts) {
        if (act === "tombstone") await appendRecord(store, { kind: "delete", attempt: 1, manifests, why: "", time });
        else for (const { directory } of gone) await store.remove(directory);
      }
      return "pruned";
    },
  };
}

/** A save that takes the next number without asking whose the log is, and trusts the number that it won. */
function savingUnfenced(attempt: number, step: number): Program {
  return {
    name: "a save that looks for no fence",
    run: async (store) => {
      const { writer, manifest } = await writeStep(store, { step, attempt });
      await writer.publish(manifestBytes(manifest));
      const identity = { version: 1, writer: "unfenced", time } as const;
      const record = { ...commitOf(manifest, identity), ...identity } satisfies LogRecord;
      for (;;) {
        const numbers = await store.recordNumbers();
        const next = (numbers.at(-1) ?? 0) + 1;
        if ((await store.createRecord(next, recordBytes(record))) === "created") return `saved ${step} of ${attempt}`;
      }
    },
  };
}

/** A restore that takes the newest checkpoint for what the log says of it. */
function openingUnverified(attempt: number): Program {
  return {
    name: "a restore that reads no byte",
    run: async (store) => {
      const { state } = await readLog(store);
      const [newest] = candidates(state, { base: null, refused: [] });
      const who = { podUid: `pod-${attempt}`, node: "n", generation: 1, time };
      const draft = { kind: "open", attempt, base: newest?.digest ?? null, ...who } as const;
      await appendRecordAfter(store, draft, { after: state.last });
      return `opened ${attempt} at ${newest?.step ?? 0}`;
    },
  };
}

/** A program whose store takes a number that went to another for an error. */
function refusingToRace(program: Program): Program {
  const through = (store: Store): Store => ({
    ...store,
    createRecord: async (number, bytes) => {
      const answer = await store.createRecord(number, bytes);
      if (answer === "taken") throw new StorageUnavailableError(`Cannot append because record ${number} exists`);
      return answer;
    },
  });
  return { ...program, name: `${program.name}, which takes EEXIST for a failure`, through };
}

/** A save that appends its commit before its checkpoint has its name. */
function committingFirst(attempt: number, step: number): Program {
  return {
    name: "a save that commits first",
    run: async (store) => {
      const { writer, manifest } = await writeStep(store, { step, attempt });
      await appendRecord(store, commitOf(manifest, { writer: "hasty", time }));
      await writer.publish(manifestBytes(manifest));
      return `saved ${step} of ${attempt}`;
    },
  };
}
