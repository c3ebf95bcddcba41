import { parseTrainingRun } from "@trainingrun/operator/api/training-run.ts";
import type { Told } from "@trainingrun/operator/control/problem-events.ts";
import { QueueWords } from "@trainingrun/operator/control/queue-words.ts";
import { describe, expect, test } from "vitest";
import { idleManifest, placed } from "../causes/manifests.ts";
import { quietResult, type Seen } from "./quiet.ts";
import { type AuditedWrite, writeOf } from "./quiet-audit.ts";
import { idleKinds } from "./quiet-kinds.ts";
import { queueEvents } from "./quiet-queue.ts";
import { holds } from "./result.ts";

const minute = 60_000;
const window = { fromMs: 100 * minute, toMs: 110 * minute };
const created = { fromMs: 0, toMs: 1_000 };
const replaced = { fromMs: 1_000, toMs: 2_000 };
const seen: Seen = {
  idle: [
    { kind: "Running", namespace: "idle-0" },
    { kind: "Complete", namespace: "idle-1" },
  ],
  attempts: ["a", "b", "c", "d"].map((namespace) => ({ namespace, created, replaced })),
  window,
};

function write(namespace: string, atMs: number, over: Partial<AuditedWrite> = {}): AuditedWrite {
  return { isOperators: true, what: "patch trainingruns/status", namespace, atMs, isTaken: true, ...over };
}

const times = (count: number, made: AuditedWrite) => Array.from({ length: count }, () => made);
const attempts = seen.attempts.flatMap(({ namespace }) => [
  ...times(10, write(namespace, 500)),
  ...times(14, write(namespace, 1_500)),
]);

describe("the quiet measure", () => {
  test("holds where nothing is written about what has nothing to do, and few times for an attempt", () => {
    const result = quietResult("containers", attempts, seen);
    expect(holds(result)).toBe(true);
    expect(result.figures).toMatchObject({
      idleMinutes: 10,
      writesPerIdleRunAndHour: 0,
      mostWritesAtCreation: 10,
      mostWritesPerReplacedPod: 14,
    });
  });

  test("counts the operator's writes in an attempt's own time, and everybody's beside them", () => {
    const others = [write("a", 500, { isOperators: false }), write("a", 500, { isTaken: false }), write("a", 2_000)];
    const { created: counts } = quietResult("containers", [...attempts, ...others], seen).figures;
    expect(counts).toMatchObject([{ operator: 10, everybody: 11 }, {}, {}, {}]);
  });

  test("tells what the server refused apart from what it took", () => {
    const refused = times(2, write("idle-1", 105 * minute, { isTaken: false }));
    const result = quietResult("containers", [...attempts, ...refused], seen);
    expect(holds(result)).toBe(true);
    expect(result.figures.idle).toEqual([
      { kind: "Running", perHour: 0, refusedPerHour: 0 },
      { kind: "Complete", perHour: 0, refusedPerHour: 12 },
    ]);
  });

  const broken: readonly [string, readonly AuditedWrite[], Seen][] = [
    ["an idle run was written about", [...attempts, write("idle-0", 105 * minute)], seen],
    ["a run took one write too many", [...attempts, write("c", 0)], seen],
    ["a replaced pod took one write too many", [...attempts, write("d", 1_999)], seen],
    ["nothing of a run was counted", attempts.filter(({ namespace }) => namespace !== "b"), seen],
    ["too few were evicted", attempts, { ...seen, attempts: seen.attempts.slice(1) }],
    ["it was looked at for too short a time", attempts, { ...seen, window: { ...window, toMs: 109 * minute } }],
    ["no run was idle", attempts, { ...seen, idle: [] }],
  ];
  test.each(broken)("does not hold where %s", (_what, writes, seen) => {
    expect(holds(quietResult("containers", writes, seen))).toBe(false);
  });
});

describe("a line of the audit log", () => {
  const line = (over: Record<string, unknown> = {}) =>
    JSON.stringify({
      stage: "ResponseComplete",
      requestURI: "/apis/trainingrun.dev/v1alpha1/namespaces/team/trainingruns/mnist/status",
      verb: "patch",
      user: { username: "system:serviceaccount:trainingrun-system:trainingrun-operator" },
      objectRef: { resource: "trainingruns", subresource: "status", namespace: "team", name: "mnist" },
      responseStatus: { code: 200 },
      requestReceivedTimestamp: "2026-01-01T00:00:00.500000Z",
      ...over,
    });
  const taken = {
    isOperators: true,
    what: "patch trainingruns/status",
    namespace: "team",
    atMs: Date.parse("2026-01-01T00:00:00.500Z"),
    isTaken: true,
  };

  test.each([
    ["of the operator", line(), taken],
    ["of the kubelet", line({ user: { username: "system:node:node-a" } }), { ...taken, isOperators: false }],
    ["that was refused", line({ responseStatus: { code: 409 } }), { ...taken, isTaken: false }],
    ["that reads", line({ verb: "get" }), null],
    ["that only tries", line({ requestURI: "/api/v1/namespaces/team/pods?dryRun=All", verb: "create" }), null],
    ["of a request that goes on", line({ stage: "ResponseStarted" }), null],
    ["about no object", line({ objectRef: undefined }), null],
  ])("%s", (_what, text, expected) => {
    expect(writeOf(text)).toEqual(expected);
  });
});

describe("what is idle", () => {
  test.each(idleKinds)("is a run, as $kind", async ({ begin }) => {
    const spec = begin({ spare: "node-c" }).run(placed(await idleManifest(), "node-c", "Elsewhere"), "node-a");
    const made = { uid: "uid", generation: 1, resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" };
    const metadata = { name: "idle", namespace: "idle-0", ...made };
    expect(parseTrainingRun({ ...spec, metadata })).toMatchObject({ kind: "Run" });
  });

  test("is every state that a run may stay in, each once", () => {
    const kinds = idleKinds.map(({ kind }) => kind);
    expect(new Set(kinds).size).toBe(kinds.length);
    expect(kinds).toEqual(expect.arrayContaining(["Queued", "Queued gang", "Running gang", "Silent node: Fence"]));
  });
});

describe("the queue that is played", () => {
  const pod = (name: string, group?: string) => ({
    metadata: {
      name,
      namespace: "team",
      labels: group === undefined ? {} : { "kueue.x-k8s.io/pod-group-name": group },
    },
  });
  const pods = [pod("alone-1-0"), pod("gang-1-0", "gang-0123-1"), pod("gang-1-1", "gang-0123-1")];

  test("says something else each time, which the operator tells each pod that waits in the same words", async () => {
    const rounds = [0, 1].map((round) => queueEvents(pods, { round, now: new Date(round * 15_000) }));
    expect(rounds.map((events) => events.length)).toEqual([2, 2]);
    const [first = [], second = []] = rounds;
    expect(first.map(({ note }) => note)).not.toEqual(second.map(({ note }) => note));
    const words = async (events: readonly unknown[], queued: Readonly<{ name: string; queueGroup: string | null }>) => {
      const read = async () => events as readonly Told[];
      const queues = new QueueWords({ takeTurn: () => true, read }, () => 0);
      return await queues.of({ uid: "pod", ...queued, told: "" }, "team", { signal: AbortSignal.timeout(10_000) });
    };
    for (const queued of [
      { name: "alone-1-0", queueGroup: null },
      { name: "gang-1-1", queueGroup: "gang-0123-1" },
    ]) {
      const told = await words(first, queued);
      expect(told).toContain("insufficient unused quota");
      expect(await words(second, queued)).toBe(told);
    }
  });
});
