import type { RefusalReason } from "@trainingrun/checkpoint/verify.ts";
import { describe, expect, test } from "vitest";
import { checkpointOf } from "../../test/sample.ts";
import { isNodeSuspect, nextDeed, suspected, type View } from "./keeper-deed.ts";
import { unmatchedProblems } from "./keeper-problems.ts";
import { patienceMs, type Unmatched } from "./keeper-unmatched.ts";

const nowMs = 10 * patienceMs;

type What = Partial<Omit<Unmatched, "found">> & { reason?: RefusalReason };

/** What a node cannot match; nothing is to be done about it before long. */
function entryOf(step: number, fate: Unmatched["fate"], { reason = "BytesDiffer", ...over }: What = {}): Unmatched {
  const inVain = fate === "Held" || fate === "NotKept" ? 1 : 0;
  return {
    ...{
      ref: checkpointOf(step),
      found: { ok: false, reason, message: `step ${step}: ${reason}` },
      fate,
      time: "noon",
    },
    ...{ failedMs: 0, readMs: 0, againMs: nowMs + 1, rounds: inVain, inVain, putOff: null },
    ...over,
  };
}

/** It went on failing for as long as one node's word needs. */
const lasting = { readMs: patienceMs };
const due = { againMs: nowMs };

type Scene = Partial<Omit<View, "entries" | "open">> & { unread?: readonly number[] };

function viewOf(entries: readonly Unmatched[], { unread = [], ...over }: Scene = {}): View {
  const open = [...entries.map(({ ref }) => ref), ...unread.map((step) => checkpointOf(step))];
  return {
    entries: new Map(entries.map((entry) => [entry.ref.digest, entry])),
    open: open.sort((a, b) => b.step - a.step),
    ...{ refusedHere: 0, isConfirmed: () => false, isPausing: () => false, nowMs },
    ...over,
  };
}

const is = (...steps: readonly number[]) => {
  const digests = steps.map((step) => checkpointOf(step).digest);
  return (digest: string) => digests.includes(digest);
};

function deedIn(view: View): string | null {
  const deed = nextDeed(view);
  if (deed === null) return null;
  return `${deed.kind} ${deed.kind === "Read" ? deed.ref.step : deed.entry.ref.step}`;
}

const held = (step: number, over: What = {}) => entryOf(step, "Held", over);
const doubted = (step: number, over: What = {}) => entryOf(step, "Doubted", { ...due, ...over });

describe("The next deed", () => {
  test.each<[string, View, string | null]>([
    ["is none where all is known", viewOf([]), null],
    ["is to read the newest", viewOf([], { unread: [10, 20] }), "Read 20"],
    ["is to read what does not pause", viewOf([], { unread: [10, 20], isPausing: is(20) }), "Read 10"],
    ["is to read what is new before anything is mended", viewOf([doubted(30)], { unread: [10] }), "Read 10"],
    ["is to mend, once all is read", viewOf([doubted(30)]), "Mend 30"],
    ["is to mend what was put off, once its time has come", viewOf([entryOf(30, "PutOff", due)]), "Mend 30"],
    ["leaves what was put off alone before", viewOf([entryOf(30, "PutOff")]), null],
    [
      "is to mend although something cannot be read",
      viewOf([doubted(30)], { unread: [10], isPausing: is(10) }),
      "Mend 30",
    ],
    ["is to read again what failed minutes ago", viewOf([held(30, due)]), "Read 30"],
    ["is to read again what was not kept", viewOf([entryOf(30, "NotKept", due)]), "Read 30"],
    [
      "is to look again for what is not in sight",
      viewOf([entryOf(30, "OutOfSight", { ...due, reason: "Missing" })]),
      "Read 30",
    ],
    ["leaves alone what failed just now", viewOf([held(30)]), null],
    ["is to refuse the only one that went on failing", viewOf([held(30, lasting)]), "Refuse 30"],
    ["refuses nothing that has failed for less", viewOf([held(30, { readMs: patienceMs - 1 })]), null],
    ["refuses nothing that could not be written", viewOf([held(30, lasting)], { isPausing: is(30) }), null],
    ["refuses nothing while another is unread", viewOf([held(30, lasting)], { unread: [10], isPausing: is(10) }), null],
    ["refuses nothing while another may be mended", viewOf([held(30, lasting), entryOf(20, "PutOff")]), null],
    ["refuses nothing that is not there", viewOf([entryOf(30, "Missing", { ...lasting, reason: "Missing" })]), null],
    ["refuses nothing that another copy helps", viewOf([entryOf(30, "NotKept", lasting)]), null],
    [
      "is to refuse beside what is missing: that is so from every node",
      viewOf([held(30, lasting), entryOf(20, "Missing", { reason: "Missing" })]),
      "Refuse 30",
    ],
    ["refuses none of two", viewOf([held(30, lasting), held(20, lasting)]), null],
    ["refuses no second one after a first", viewOf([held(30, lasting)], { refusedHere: 1 }), null],
    ["is to refuse at once what is confirmed", viewOf([held(30), held(20)], { isConfirmed: is(30, 20) }), "Refuse 30"],
    [
      "is to refuse the only one beside those that are confirmed",
      viewOf([held(30), held(20, lasting)], { isConfirmed: is(30) }),
      "Refuse 30",
    ],
    [
      "refuses none of two beside one that is confirmed",
      viewOf([held(30), held(20, lasting), held(10, lasting)], { isConfirmed: is(30) }),
      null,
    ],
    ["mends nothing on a suspected node", viewOf([held(30), entryOf(20, "NotKept"), doubted(10)]), null],
    [
      "mends nothing where one of two is only being read again",
      viewOf([held(30), doubted(20, { inVain: 1 }), doubted(10)]),
      null,
    ],
    ["brings nothing back on a suspected node", viewOf([held(30), held(20), doubted(10, { reason: "Missing" })]), null],
  ])("%s", (_, view, deed) => expect(deedIn(view)).toBe(deed));
});

describe("A node", () => {
  test.each<[string, View, boolean]>([
    ["of which nothing is known", viewOf([], { refusedHere: 2 }), false],
    ["with one that does not match", viewOf([held(30)]), false],
    ["with two", viewOf([held(30), entryOf(20, "NotKept")]), true],
    ["with two of which one waits for its copy", viewOf([held(30), doubted(20)]), false],
    ["with one, after another was refused on its word", viewOf([held(30)], { refusedHere: 1 }), true],
    ["with two of which one is confirmed", viewOf([held(30), held(20)], { isConfirmed: is(30) }), false],
    [
      "with two that are not there",
      viewOf([30, 20].map((step) => entryOf(step, "Missing", { reason: "Missing" }))),
      false,
    ],
  ])("%s is suspected: %#", (_, view, isSuspect) => expect(isNodeSuspect(view)).toBe(isSuspect));

  test("names what does not match where it is suspected, and nothing where it is not", () => {
    const both = viewOf([held(20), held(30), doubted(10)]);
    expect(suspected(both, "node-a").map(({ step, node }) => [step, node])).toEqual([
      [20, "node-a"],
      [30, "node-a"],
    ]);
    expect(unmatchedProblems(both, "node-a")).toEqual([
      {
        reason: "NodeSuspect",
        message: expect.stringMatching(/do not verify on node node-a: step 30 BytesDiffer, step 20 BytesDiffer\./),
      },
    ]);
    expect(suspected(viewOf([held(20)]), "node-a")).toEqual([]);
  });
});

test("what does not match is told of, the newest of each kind", () => {
  const view = viewOf([
    held(30),
    ...[20, 10].map((step) => entryOf(step, "Missing", { reason: "Missing" })),
    entryOf(40, "PutOff", { putOff: "the volume has 1 kB free" }),
    ...[doubted(50), entryOf(60, "OutOfSight", { reason: "Missing" })],
  ]);
  expect(unmatchedProblems(view, "node-a").toSorted((a, b) => a.reason.localeCompare(b.reason))).toEqual([
    { reason: "CheckpointMissing", message: "step 20: Missing" },
    {
      reason: "CheckpointUnmatched",
      message:
        "Step 30 does not verify, and is refused if it is the only one that does not for 5 minutes: step 30: BytesDiffer",
    },
    { reason: "RepairPutOff", message: "Step 40 is not mended yet: the volume has 1 kB free. step 40: BytesDiffer" },
  ]);
});
