import { describe, expect, test } from "vitest";
import { absent, nodeWith } from "../../test/ended-pods.ts";
import { condition, decideOn, kinds, living, observedWith } from "../../test/observed-builder.ts";
import { at, podWith, running } from "../../test/pod-builder.ts";
import { start } from "../../test/run-builder.ts";
import { endEntry } from "./ledger.ts";
import type { ObservedNode } from "./observed.ts";
import { nodeNamesOf, survey } from "./survey.ts";

const silent = nodeWith({ ready: "Unknown", readySince: start });
const unready = nodeWith({ ready: "False", readySince: start });

/** The pod of attempt 1 was removed from the API by force, and its node looks so. */
const removedOn = (node: ObservedNode | undefined, fields: Parameters<typeof living>[0] = {}) =>
  decideOn({ run: living(fields), gone: ["pod-1"], nodes: node ? [node] : [] });

describe("a recorded pod that is gone from the API", () => {
  test.each([
    ["silent", silent],
    ["not ready", unready],
  ])("may still run where its node is %s: nothing begins beside it, and the run says so", (_title, node) => {
    const decision = removedOn(node);
    expect(decision.status).toMatchObject({ state: "Fencing", attempt: 1 });
    expect(decision.status.attempts?.[0]?.endTime).toBeUndefined();
    expect(kinds(decision)).toEqual([]);
    expect(decision.requeueAfterMs).toBe(15_000);
    expect(condition(decision, "Progressing")).toMatchObject({
      status: "False",
      reason: "NodeSilent",
      message:
        "Node node-a has not been ready since 2026-01-01T00:00:00.000Z, so it is not known whether the pod mnist-1-0 still runs. Waiting for the node, its deletion, or its taint node.kubernetes.io/out-of-service. Its object was removed by force, which stops no container.",
    });
    expect(decision.events).toMatchObject([{ type: "Warning", reason: "NodeSilent" }]);
  });

  test.each([
    ["is ready again", nodeWith(), "Deleted"],
    ["was deleted", absent, "NodeLost"],
    ["carries the out-of-service taint", nodeWith({ ready: "Unknown", outOfService: true }), "NodeLost"],
    ["cannot be read, so that no wait would end", nodeWith({ presence: "Unknown", ready: "Unknown" }), "Deleted"],
    ["was never known", undefined, "Deleted"],
  ] as const)("has ended once its node %s", (_title, node, cause) => {
    const { status } = removedOn(node);
    expect(status.attempts).toMatchObject([{ number: 1, cause, charge: "Disruption" }]);
    expect(status).toMatchObject({ state: "Backoff", retry: { failures: 0 } });
  });

  test("is not given up the moment that an edit asks for nodeLost: Fence", () => {
    const fence = { spec: { nodeLost: { policy: "Fence", afterSeconds: 60 } }, metadata: { generation: 2 } };
    const { status } = removedOn(silent, fence);
    expect(status).toMatchObject({ state: "Fencing", attempt: 1 });
    expect(status.attempts?.[0]?.endTime).toBeUndefined();
  });

  test("keeps a suspended run from being called suspended, and a stop names the node", () => {
    const decision = removedOn(silent, { spec: { suspend: true } });
    expect(decision.status).toMatchObject({ state: "Saving", stop: { cause: "Suspended" } });
    expect(condition(decision, "Progressing")).toMatchObject({ reason: "NodeSilent" });
    expect(decision.requeueAfterMs).toBe(15_000);
  });

  test("is not superseded by an edit: it may have trained for long", () => {
    expect(removedOn(silent, { metadata: { generation: 2 } }).status.stop).toBeUndefined();
  });

  test("does not keep a deleted run for ever (L5)", () => {
    const run = living({ metadata: { deletionTimestamp: at(0) } });
    const decision = decideOn({ run, gone: ["pod-1"], nodes: [silent], now: start + 91_000 });
    expect(kinds(decision)).toEqual(["ReleaseRun"]);
  });

  test("has its node looked at, as long as its attempt is open", () => {
    const pod = podWith({ spec: { nodeName: "node-b" } });
    expect(nodeNamesOf(living(), [pod])).toEqual(["node-a", "node-b"]);
    expect(nodeNamesOf(living({ entry: { endTime: at(50) } }), [pod])).toEqual(["node-b"]);
  });
});

describe("the pods of a gang of 20", () => {
  const pods = Array.from({ length: 20 }, (_, worker) =>
    podWith({
      metadata: {
        name: `mnist-1-${worker}`,
        uid: `pod-${worker}`,
        labels: { "trainingrun.dev/attempt": "1", "trainingrun.dev/worker": `${worker}` },
      },
      spec: { nodeName: `node-${worker}` },
      status: { containerStatuses: [running("trainer")], initContainerStatuses: [running("agent")] },
    }),
  );
  const run = living({ entry: { workers: 20, pods: [] } });
  const known = decideOn({ run, pods: pods.toReversed() }).status;

  test("are all on record while the attempt lives, by worker, and are none of them taken for strays", () => {
    expect(known.attempts?.[0]?.pods).toEqual(pods.map(({ uid, worker, node }) => ({ uid, worker, node })));
    const again = decideOn({ run: { ...run, status: known }, pods });
    expect(again.actions).toEqual([]);
    expect(again.status.attempts?.[0]?.pods).toEqual(known.attempts?.[0]?.pods);
  });

  test("are each missed, the last one too, and keep their places", () => {
    const observed = observedWith({ run: { ...run, status: known }, pods: pods.slice(0, 19) });
    expect(survey(observed, known).unsure).toBe(true);
    const gone = decideOn({ ...observed, pods: pods.slice(1), gone: ["pod-0"] });
    expect(gone.status.attempts?.[0]?.pods.map(({ uid }) => uid)).toEqual(pods.map(({ uid }) => uid));
  });

  test("are folded to the first eight and a count once the attempt has ended", () => {
    const ending = { cause: "Crashed", charge: "Failure", reason: "", message: "" } as const;
    const attempts = known.attempts?.map((each) => ({ ...each, pods: each.pods.toReversed() })) ?? [];
    const end = { ending, at: start + 1000, trainerEndedAt: null, now: start + 1000 };
    const [entry] = endEntry({ ...known, attempts }, end).attempts ?? [];
    expect(entry?.pods.map(({ uid }) => uid)).toEqual(pods.slice(0, 8).map(({ uid }) => uid));
    expect(entry?.podCount).toBe(20);
  });

  test("are not joined by a copy under another name: it is stopped", () => {
    const [first] = pods;
    if (first === undefined) throw new Error("A gang has pods");
    const copies = Array.from({ length: 9 }, (_, index) => ({ ...first, name: `copy-${index}`, uid: `copy-${index}` }));
    const decision = decideOn({ run, pods: [first, ...copies] });
    expect(decision.status.attempts?.[0]?.pods).toEqual([{ uid: "pod-0", worker: 0, node: "node-0" }]);
    expect(kinds(decision).filter((kind) => !kind.startsWith("Create"))).toEqual(copies.map(() => "DeletePod"));
  });
});
