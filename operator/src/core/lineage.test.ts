import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { dead, failed, nodeWith } from "../../test/ended-pods.ts";
import { decideOn, held } from "../../test/observed-builder.ts";
import { at, ended, podWith, running, waiting } from "../../test/pod-builder.ts";
import { digest, served } from "../../test/records.ts";
import { type Fields, runWith, start } from "../../test/run-builder.ts";
import type { TrainingRunStatus } from "../api/status.ts";
import type { RunEvent } from "./decision.ts";
import type { Observed } from "./observed.ts";

/*
 * A choice of spec.resume.from is taken by one attempt and by no other, whatever is heard of it and however often the
 * run is interrupted; and it is not lost with an attempt that certainly never trained.
 */

const step = 12;
const choice = JSON.stringify({ step });
const hourMs = 3_600_000;

/** How an attempt ends, and whether it may have trained from where it was asked to. */
const ends = {
  "opened, by its agent's record": {
    taken: true,
    see: (n: number) => over(n, message(served({ attempt: n, resumedFrom: from }))),
  },
  "lost with its node": { taken: true, see: () => ({ nodes: [nodeWith({ presence: "Absent", ready: "Unknown" })] }) },
  "removed by force": { taken: true, see: () => ({ nodes: [nodeWith()] }) },
  "killed with its agent": { taken: true, see: (n: number) => over(n, { exitCode: 137 }) },
  "ended before its restore did": { taken: false, see: (n: number) => over(n, message(served({ attempt: n }))) },
  "without storage": {
    taken: false,
    see: (n: number) => {
      const record = JSON.parse(failed("StorageUnavailable").message);
      return over(n, { exitCode: 1, ...message({ ...record, attempt: n }) });
    },
  },
  "never started": {
    taken: false,
    see: (n: number) => ({
      pods: [podOf(n, { phase: "Failed", containerStatuses: [waiting("trainer", "")] }, { deletionTimestamp: at(30) })],
    }),
  },
} as const satisfies Record<string, { taken: boolean; see: (n: number) => Partial<Observed> }>;
type End = keyof typeof ends;

const from = { step, digest: digest("a"), tier: "Volume" } as const;
const message = (record: unknown) => ({ message: JSON.stringify(record) });

function podOf(attempt: number, status: Fields, metadata: Fields = {}) {
  const labels = { "trainingrun.dev/attempt": `${attempt}`, "trainingrun.dev/worker": "0" };
  return podWith({ metadata: { name: `mnist-${attempt}-0`, uid: `pod-${attempt}`, labels, ...metadata }, status });
}

function over(attempt: number, { exitCode = 0, ...fields }: Fields): Partial<Observed> {
  return { pods: [podOf(attempt, dead(ended("trainer", 1), ended("agent", Number(exitCode), fields)))] };
}

/** A run in front of which its attempts begin and end, as the operator sees it. */
class History {
  status: TrainingRunStatus = {};
  events: readonly RunEvent[] = [];
  choice: Fields | undefined = { step };
  #now = start;

  /** The choice that the next attempt is asked to open with. */
  begin(): string | undefined {
    for (let tries = 0; this.#open() === undefined; tries += 1) {
      if (tries > 3) throw new Error(`No attempt begins: ${JSON.stringify(this.status.conditions)}`);
      this.#now += hourMs;
      this.#decide({});
    }
    return this.#open()?.from;
  }

  end(how: End): void {
    const number = this.#open()?.number ?? 0;
    const trainer = how === "never started" ? waiting("trainer", "") : running("trainer");
    this.#decide({
      pods: [podOf(number, { containerStatuses: [trainer], initContainerStatuses: [running("agent")] })],
    });
    const seen: Partial<Observed> = ends[how].see(number);
    this.#decide({ ...seen, gone: seen.pods === undefined ? [`pod-${number}`] : [] });
    expect(this.status.attempts?.find((entry) => entry.number === number)?.endTime).toBeDefined();
  }

  #open() {
    return this.status.attempts?.find(({ endTime }) => endTime === undefined);
  }

  #decide(seen: Partial<Observed>): void {
    const resume = this.choice === undefined ? {} : { resume: { from: this.choice } };
    const run = runWith({ metadata: held, spec: { retry: { failures: 1000 }, ...resume }, status: { ...this.status } });
    ({ status: this.status, events: this.events } = decideOn({ run, now: this.#now, ...seen }));
  }
}

describe("a choice of spec.resume.from", () => {
  test.each(Object.entries(ends))("with an attempt that was %s: taken is $taken", (how, { taken }) => {
    const history = new History();
    expect(history.begin()).toBe(choice);
    history.end(how as End);
    expect(history.begin()).toBe(taken ? undefined : choice);
  });

  test("that counts as taken unheard is told of, with the way to make it again", () => {
    const history = new History();
    history.begin();
    history.end("removed by force");
    expect(history.status.base).toEqual({ sinceAttempt: 1, generation: 1, from: choice });
    expect(history.events).toContainEqual({
      type: "Warning",
      reason: "ResumeChoiceUncertain",
      message:
        'Nothing was heard of attempt 1, so the chosen {"step":12} counts as taken: what was trained since is kept. To take it again, remove spec.resume.from and then set it again.',
    });
  });

  test("is taken once for each time that it is made, in any history", () => {
    const names = Object.keys(ends) as End[];
    let unheard = 0;
    fc.assert(
      fc.property(
        fc.array(fc.record({ end: fc.constantFrom(...names), remake: fc.boolean() }), { minLength: 1, maxLength: 8 }),
        (acts) => {
          const history = new History();
          let taken = false;
          for (const { end, remake } of acts) {
            expect(history.begin()).toBe(taken ? undefined : choice);
            history.end(end);
            if (!taken && ends[end].taken && end !== "opened, by its agent's record") unheard += 1;
            taken ||= ends[end].taken;
            if (!remake) continue;
            history.choice = undefined;
            history.begin();
            history.end("never started");
            history.choice = { step };
            taken = false;
          }
        },
      ),
      { numRuns: 40 },
    );
    expect(unheard).toBeGreaterThan(20);
  });
});
