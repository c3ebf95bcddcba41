import type { CheckpointSummary } from "@trainingrun/checkpoint/contract/checkpoint-summary.ts";
import type { AgentRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ended, podWith, running } from "../../test/pod-builder.ts";
import { checkpoint, digest, served } from "../../test/records.ts";
import { runWith, start } from "../../test/run-builder.ts";
import type { TrainingRunStatus } from "../api/status.ts";
import { charge } from "./budget.ts";
import { type AttemptFacts, factsOf } from "./facts.ts";
import { learn } from "./learn.ts";
import { beginEntry, endEntry } from "./ledger.ts";

const ten = checkpoint(10, 1, "a");
const twenty = checkpoint(20, 1, "b");
const refusedOf = ({ step, attempt, digest, time }: CheckpointSummary) => {
  return { step, attempt, digest, time, reason: "DigestMismatch", message: "differs", node: "node-a" };
};

/** What the agent's record alone tells, of an attempt's pod. */
function factsFrom(record: AgentRecord, attempt: number, agent = ended("agent", 0)): AttemptFacts {
  const labels = { "trainingrun.dev/attempt": `${attempt}`, "trainingrun.dev/worker": "0" };
  const message = { message: JSON.stringify(record) };
  const status =
    "running" in (agent.state as object)
      ? { ...agent, lastState: ended("agent", 1, message).state }
      : ended("agent", 1, message);
  return factsOf(podWith({ metadata: { labels }, status: { initContainerStatuses: [status] } }), undefined);
}

function learned(status: TrainingRunStatus, facts: AttemptFacts, resume = {}): TrainingRunStatus {
  return learn(runWith({ spec: { resume, retry: { failures: 1000 } }, status: { ...status } }), facts);
}

describe("the catalogue", () => {
  const known = beginEntry(
    { latestVerified: twenty, best: ten, checkpoints: [twenty, ten], base: { sinceAttempt: 1, generation: 1 } },
    { generation: 1, from: undefined, now: start },
  );
  type Failed = Extract<AgentRecord, { kind: "restore-failed" }>;
  const none = (fields: Partial<Failed>): Failed => {
    return { kind: "restore-failed", attempt: 1, failure: "NodeSuspect", message: "none", refused: [], ...fields };
  };

  test("holds nothing that was refused, and the newest on record stays, to tell a lost volume from a first start (I10)", () => {
    const status = learned(known, factsFrom(none({ refused: [refusedOf(twenty), refusedOf(ten)] }), 1));
    expect(status.checkpoints).toBeUndefined();
    expect(status.best).toBeUndefined();
    expect(status.latestVerified).toEqual(twenty);
  });

  test("keeps what was not refused", () => {
    const status = learned(known, factsFrom(none({ refused: [refusedOf(twenty)] }), 1));
    expect(status).toMatchObject({ checkpoints: [ten], best: ten, latestVerified: ten });
  });

  test("is empty once nothing verifies, although a record has no room for every refusal", () => {
    const status = learned(known, factsFrom(none({ failure: "NoVerifiedCheckpoint" }), 1));
    expect(status.checkpoints).toBeUndefined();
    expect(status.best).toBeUndefined();
    expect(status.latestVerified).toEqual(twenty);
  });

  test("says why each is kept, the newest included, and nowhere else in the status", () => {
    const record = served({ attempt: 1, resumedFrom: { ...ten, tier: "Volume" }, latestVerified: twenty, best: ten });
    const catalogue = [
      { ...twenty, kept: ["verified", "last"] },
      { ...ten, epoch: 3, kept: ["verified", "best:loss"] },
    ];
    const status = learned(known, { ...factsFrom(record, 1), catalogue });
    expect(status.checkpoints).toEqual(catalogue);
    expect([status.latestVerified, status.best]).toEqual([twenty, ten]);
    const left = learned(status, factsFrom(none({ refused: [refusedOf(twenty)] }), 1));
    expect(left).toMatchObject({ checkpoints: [{ kept: ["verified", "best:loss"] }] });
    expect(left.latestVerified).toEqual({ ...ten, epoch: 3 });
  });

  test("stays where only the user's choice was not there", () => {
    const [entry] = known.attempts ?? [];
    const asked = { ...known, attempts: entry ? [{ ...entry, from: '{"step":7}' }] : [] };
    const status = learned(asked, factsFrom(none({ failure: "NoVerifiedCheckpoint" }), 1));
    expect(status).toMatchObject({ checkpoints: [twenty, ten], best: ten });
  });

  test("is not emptied by a restore that failed in an earlier life of the agent", () => {
    const record = none({ failure: "NoVerifiedCheckpoint", refused: [refusedOf(twenty), refusedOf(ten)] });
    const status = learned(known, factsFrom(record, 1, running("agent")));
    expect(status).toMatchObject({ checkpoints: [twenty, ten], best: ten });
    expect(status.refused).toBeUndefined();
  });
});

test("what an agent did before it was started again is known", () => {
  const record = served({ attempt: 1, resumedFrom: { ...ten, tier: "Volume" }, lastStep: 14, latestVerified: ten });
  expect(factsFrom(record, 1, running("agent"))).toMatchObject({ opened: true, lastStep: 14, latestVerified: ten });
});

/*
 * Failures are counted since the last checkpoint that is newer in its lineage than any before: a lineage begins with a
 * start from step 0 and with every choice of the user, and what was verified in another one says nothing about it.
 */
describe("the failure budget", () => {
  type Act = "fresh" | "resume" | "roll back" | "verify" | "crash";
  const acts: readonly Act[] = ["fresh", "resume", "roll back", "verify", "verify", "crash"];

  /** A run, and beside it the plain model of what it should have counted. */
  class Lineages {
    status: TrainingRunStatus = {};
    failures = 0;
    refillsBelow = 0;
    #lineage: CheckpointSummary[] = [];
    #newest = 0;
    #highest = 0;
    #choices = 0;

    do(act: Act, by: number): void {
      if (act === "verify") this.#verify(by);
      else if (act === "crash") this.#crash();
      else this.#open(act, by);
    }

    #open(how: "fresh" | "resume" | "roll back", by: number): void {
      this.#crash();
      const chosen = how === "roll back" ? this.#lineage[by % Math.max(1, this.#lineage.length)] : undefined;
      const began = this.#lineage.length === 0 || how === "fresh" || chosen !== undefined;
      if (how === "fresh") this.#lineage = [];
      if (chosen !== undefined) this.#lineage = this.#lineage.filter(({ step }) => step <= chosen.step);
      if (began) this.#newest = this.#lineage.at(-1)?.step ?? 0;
      this.#choices += 1;
      const from = chosen === undefined ? undefined : JSON.stringify({ step: chosen.step, digest: `${this.#choices}` });
      this.status = beginEntry(this.status, { generation: 1, from, now: start });
      this.#tell(this.#lineage.at(-1) ?? null);
    }

    #verify(by: number): void {
      const attempt = this.#openAttempt();
      if (attempt === undefined) return;
      const newest = checkpoint((this.#lineage.at(-1)?.step ?? 0) + 1 + by, attempt, "a");
      this.#lineage.push({ ...newest, digest: digestOf(newest) });
      if (newest.step > this.#newest) {
        if (newest.step < this.#highest && this.failures > 0) this.refillsBelow += 1;
        this.failures = 0;
        this.#newest = newest.step;
        this.#highest = Math.max(this.#highest, newest.step);
      }
      this.#tell(null);
    }

    #crash(): void {
      if (this.#openAttempt() === undefined) return;
      const ending = { cause: "Crashed", charge: "Failure", reason: "", message: "" } as const;
      const ended = endEntry(this.status, { ending, at: start, trainerEndedAt: null, now: start });
      const { retry } = runWith({ spec: { retry: { failures: 1000 } } }).spec;
      const budget = ended.retry ?? { failures: 0, failuresLeft: 1000, disruptions: 0, fruitless: 0 };
      this.status = { ...ended, retry: charge(budget, retry, { charge: "Failure", reached: 0 }).budget };
      this.failures += 1;
    }

    /** The agent says what it resumed from and what is newest. */
    #tell(opened: CheckpointSummary | null): void {
      const attempt = this.#openAttempt() ?? 0;
      const before = this.status.attempts?.[0]?.resumedFrom;
      const from = opened ? { step: opened.step, digest: opened.digest, tier: "Volume" as const } : (before ?? null);
      const record = served({ attempt, resumedFrom: from, latestVerified: this.#lineage.at(-1) ?? null });
      this.status = learned(this.status, factsFrom(record, attempt), { from: { step: 1 } });
    }

    #openAttempt(): number | undefined {
      return this.status.attempts?.find(({ endTime }) => endTime === undefined)?.number;
    }
  }

  const digestOf = ({ step, attempt }: CheckpointSummary) =>
    digest("0").replace(/0{12}$/, (step * 1000 + attempt).toString(16).padStart(12, "0"));

  test("is refilled by progress within the lineage, and by nothing else", () => {
    let refillsBelow = 0;
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(...acts), fc.nat({ max: 9 })), { minLength: 4, maxLength: 20 }),
        (script) => {
          const lineages = new Lineages();
          for (const [act, by] of script) {
            lineages.do(act, by);
            expect(lineages.status.retry?.failures ?? 0).toBe(lineages.failures);
          }
          refillsBelow += lineages.refillsBelow;
        },
      ),
      { numRuns: 150 },
    );
    expect(refillsBelow).toBeGreaterThan(10);
  });

  test.each([
    ["a choice of the user", '{"step":10}', ten, undefined],
    [
      "a start from nothing, which no user has asked for",
      undefined,
      null,
      [{ step: 20, digest: digest("b"), stuckAt: 30 }],
    ],
  ])("begins with %s, and so do the suspects or not", (_, from, base, suspects) => {
    const before: TrainingRunStatus = {
      latestVerified: twenty,
      suspects: [{ step: 20, digest: digest("b"), stuckAt: 30 }],
      base: { sinceAttempt: 1, generation: 1 },
      retry: { failures: 2, failuresLeft: 998, disruptions: 0, fruitless: 1, furthestStep: 30 },
      attempt: 4,
    };
    const resumedFrom = base && { step: base.step, digest: base.digest, tier: "Volume" as const };
    const status = learned(
      beginEntry(before, { generation: 1, from, now: start }),
      factsFrom(served({ attempt: 5, resumedFrom }), 5),
      { from: { step: 10 } },
    );
    expect(status.suspects).toEqual(suspects);
    expect(status.retry?.furthestStep).toBe(base?.step ?? 0);
  });

  test("starts anew with a run that starts over, and what it left is not called a resume point", () => {
    const before: TrainingRunStatus = {
      latestVerified: twenty,
      best: ten,
      checkpoints: [twenty, ten],
      base: { sinceAttempt: 1, generation: 1, from: '{"step":10}' },
      retry: { failures: 2, failuresLeft: 998, disruptions: 0, fruitless: 0, verifiedStep: 20 },
      attempt: 4,
    };
    const status = learned(
      beginEntry(before, { generation: 1, from: undefined, now: start }),
      factsFrom(served({ attempt: 5, resumedFrom: null }), 5),
      { from: { step: 10 } },
    );
    expect(status.base).toEqual({ sinceAttempt: 5, generation: 1, from: '{"step":10}' });
    expect(status).toMatchObject({ retry: { failures: 2, verifiedStep: 0 } });
    expect([status.latestVerified, status.best, status.checkpoints]).toEqual([undefined, undefined, undefined]);
  });
});
