import { describe, expect, test } from "vitest";
import { boundClaim, condition, decideOn, held, kinds, living } from "../../test/observed-builder.ts";
import { at, podWith, running } from "../../test/pod-builder.ts";
import { type Fields, runUid, runWith, specWith, start } from "../../test/run-builder.ts";
import { observeRemoval } from "./observe-removal.ts";
import type { ObservedRemoval } from "./observed.ts";

const objectStore = {
  endpoint: "https://s3.example.com",
  bucket: "checkpoints",
  prefix: "team-a/",
  credentialsSecretName: "s3",
};
const spec = { checkpoint: { ...(specWith().checkpoint as Fields), objectStore }, deletionPolicy: "Delete" };
const place = `checkpoints/team-a/${runUid}/ at https://s3.example.com`;
const name = "mnist-delete-0123abcd";
const metadata = { ...held, deletionTimestamp: at(0) };
const status = { attempt: 1 };
const run = runWith({ metadata, spec, status });
/** The grace period of 30 s, a minute for the pods and ten for the objects are over. */
const late = start + 690_000;
const hour = 3_600_000;

const working: ObservedRemoval = {
  name,
  uid: "r",
  createdAt: start,
  deletionRequested: false,
  removed: false,
  failed: false,
  isUnmade: false,
  reason: "",
  message: "",
};
const troubled = { ...working, reason: "AccessDenied", message: "Cannot list team-a/." };

describe("a deleted run whose training has ended", () => {
  test("has its objects removed first, by a pod of its own, while the claim stays", () => {
    const decision = decideOn({ run });
    expect(decision.actions).toMatchObject([{ kind: "CreateRemovalPod", manifest: { metadata: { name } } }]);
    const message = `The run was deleted, and the pod ${name} removes the objects below ${place}.`;
    expect(condition(decision, "Progressing")).toMatchObject({ reason: "RemovingObjects", message });
    expect(decision.requeueAfterMs).toBe(15_000);
    expect(decision.events).toEqual([]);
  });

  test("waits for that pod and writes nothing meanwhile", () => {
    const first = decideOn({ run });
    const next = decideOn({ run: { ...run, status: first.status }, removal: working });
    expect(next).toMatchObject({ status: first.status, actions: [], events: [] });
  });

  test("names the place where a pod that may still run may still write, though the objects there are gone", () => {
    const silent = living({ metadata, spec, status: { stop: { attempt: 1, cause: "RunDeleted", time: at(0) } } });
    const pods = [podWith({ status: { containerStatuses: [running("trainer")] } })];
    const seen = { run: silent, pods, removal: { ...working, removed: true }, now: start + 90_000 };
    expect(decideOn(seen).events).toMatchObject([
      { reason: "PodsAbandoned", message: expect.stringContaining(`may still write the objects below ${place}: look`) },
    ]);
    const kept = living({ metadata, spec: { ...spec, deletionPolicy: "Retain" }, status: silent.status as Fields });
    expect(decideOn({ ...seen, run: kept }).events[0]?.message).not.toContain("may still write");
  });

  test("has its claim removed and goes once the objects are gone", () => {
    expect(kinds(decideOn({ run, removal: { ...working, removed: true } }))).toEqual(["DeleteClaim", "ReleaseRun"]);
  });

  test("says why it takes long, what to do, and says it once", () => {
    const first = decideOn({ run, removal: troubled });
    const message = expect.stringContaining(
      "Cannot list team-a/. Let the keys in the Secret s3 get, put, list and delete",
    );
    expect(condition(first, "Progressing")).toMatchObject({ reason: "RemovalFailing", message });
    expect(first.events).toMatchObject([{ type: "Warning", reason: "RemovalFailing", message }]);
    expect(decideOn({ run: { ...run, status: first.status }, removal: troubled }).events).toEqual([]);
  });

  test.each([
    ["in time", late - 1, troubled, [], []],
    ["no longer than that", late, troubled, ["DeleteClaim", "ReleaseRun"], ["ObjectsAbandoned"]],
    ["as long for a pod that was begun late", late + hour + 599_999, { ...troubled, createdAt: late + hour }, [], []],
    [
      "no longer for that one",
      late + hour + 600_000,
      { ...troubled, createdAt: late + hour },
      ["DeleteClaim", "ReleaseRun"],
      ["ObjectsAbandoned"],
    ],
    [
      "no more once that one has failed",
      late + hour + 20_000,
      { ...troubled, createdAt: late + hour, failed: true },
      ["DeleteClaim", "ReleaseRun"],
      ["ObjectsAbandoned"],
    ],
  ])("waits for a store that is away %s", (_, now, removal, actions, told) => {
    const { status } = decideOn({ run, removal, now: removal.createdAt });
    const seen = decideOn({ run: { ...run, status }, removal, now });
    expect(kinds(seen)).toEqual(actions);
    expect(seen.events.map(({ reason }) => reason)).toEqual(told);
  });

  test("has its removal tried by an operator that was away for longer than that", () => {
    const back = decideOn({ run, now: late + hour });
    expect([kinds(back), back.events, back.requeueAfterMs]).toEqual([["CreateRemovalPod"], [], 15_000]);
  });

  test("waits no longer for the pods that take the place of one that somebody deleted", () => {
    const first = decideOn({ run, now: late + hour });
    const seenAt = (now: number) =>
      kinds(
        decideOn({ run: { ...run, status: first.status }, removal: { ...troubled, createdAt: now - 60_000 }, now }),
      );
    expect(seenAt(late + hour + 599_999)).toEqual([]);
    expect(seenAt(late + hour + 600_000)).toEqual(["DeleteClaim", "ReleaseRun"]);
    const without = decideOn({ run: { ...run, status: first.status }, now: late + hour + 600_000 });
    expect(kinds(without)).toEqual(["DeleteClaim", "ReleaseRun"]);
  });

  test("names what was abandoned, where it lies, and why", () => {
    const [event] = decideOn({ run, removal: troubled, now: late }).events;
    expect(event?.message).toContain(`Left: the objects below ${place}; remove what is there by hand. Cannot list`);
  });

  test.each([
    ["failed a moment ago", start + 50_000, []],
    ["failed a while ago", start, ["DeletePod"]],
  ])("has a pod that %s followed by another after a pause", (_, createdAt, actions) => {
    expect(kinds(decideOn({ run, removal: { ...working, failed: true, createdAt } }))).toEqual(actions);
  });

  const refusal = {
    ...({ kind: "Pod", name, status: 403, reason: "Forbidden", generation: 1 } as const),
    ...{ at: start + 50_000, firstAt: start, inVainSince: start },
  };

  test("tries a refused pod again after a pause, and says what was refused", () => {
    const refusals = [{ ...refusal, message: "exceeded quota" }];
    const first = decideOn({ run, refusals });
    expect(kinds(first)).toEqual([]);
    expect(condition(first, "Progressing")?.message).toContain("the API server refused the pod: exceeded quota");
    expect(kinds(decideOn({ run, refusals, now: start + 65_000 }))).toEqual(["CreateRemovalPod"]);
  });

  test.each([
    ["first a moment ago", late + hour - 599_999, []],
    ["for ten minutes", late + hour - 600_000, ["DeleteClaim", "ReleaseRun"]],
  ])("that an operator finds late is tried for ten minutes where the pod was refused %s", (_, firstAt, actions) => {
    const refusals = [{ ...refusal, message: "exceeded quota", at: late + hour - 1, firstAt }];
    expect(kinds(decideOn({ run, refusals, now: late + hour }))).toEqual(actions);
  });

  test("does not hold up the deletion of its namespace", () => {
    const message = "unable to create new content in namespace team because it is being terminated";
    const decision = decideOn({ run, refusals: [{ ...refusal, message }] });
    expect(kinds(decision)).toEqual(["DeleteClaim", "ReleaseRun"]);
    expect(decision.events).toMatchObject([{ reason: "ObjectsAbandoned" }]);
  });

  test.each([
    ["they are kept", runWith({ metadata, spec: { ...spec, deletionPolicy: "Retain" }, status }), ["ReleaseRun"]],
    [
      "there is no object store",
      runWith({ metadata, spec: { deletionPolicy: "Delete" }, status }),
      ["DeleteClaim", "ReleaseRun"],
    ],
    ["no attempt ever wrote one", runWith({ metadata, spec }), ["DeleteClaim", "ReleaseRun"]],
  ])("removes no objects where %s", (_, kept, actions) => {
    expect(kinds(decideOn({ run: kept }))).toEqual(actions);
  });

  test("without a volume needs none", () => {
    const alone = runWith({ metadata, spec: { ...spec, checkpoint: { objectStore } }, status });
    expect(kinds(decideOn({ run: alone, volume: { kind: "None" }, removal: { ...working, removed: true } }))).toEqual([
      "ReleaseRun",
    ]);
  });

  test("leaves a claim that somebody else made", () => {
    const volume = { ...boundClaim, runUid: null };
    expect(kinds(decideOn({ run, volume, removal: { ...working, removed: true } }))).toEqual(["ReleaseRun"]);
  });
});

describe("the pod that removes objects is read", () => {
  const record = JSON.stringify({ kind: "delete-failed", reason: "BucketMissing", message: "No bucket." });
  const container = (fields: Fields) => ({ containerStatuses: [{ name: "delete", ...fields }] });
  const quiet = { removed: false, failed: false, isUnmade: false, reason: "", message: "" };
  test.each([
    ["that was just created", {}, {}, quiet],
    [
      "that has no node",
      {},
      { conditions: [{ type: "PodScheduled", status: "False", message: "no room" }] },
      { ...quiet, message: "no room" },
    ],
    [
      "that has a node and no container",
      { nodeName: "n" },
      container({ state: { waiting: { reason: "ContainerCreating" } } }),
      { ...quiet, isUnmade: true },
    ],
    [
      "whose image is not there",
      { nodeName: "n" },
      container({ state: { waiting: { reason: "ErrImagePull", message: "no such image" } } }),
      { ...quiet, isUnmade: true, reason: "ErrImagePull", message: "no such image" },
    ],
    ["that works", { nodeName: "n" }, { phase: "Running", ...container({ state: { running: {} } }) }, quiet],
    [
      "that tries again",
      { nodeName: "n" },
      {
        phase: "Running",
        ...container({
          state: { waiting: { reason: "CrashLoopBackOff", message: "back-off" } },
          lastState: { terminated: { exitCode: 1, message: record } },
        }),
      },
      { ...quiet, reason: "BucketMissing", message: "No bucket." },
    ],
    [
      "that left no record",
      { nodeName: "n" },
      {
        phase: "Running",
        ...container({ state: { running: {} }, lastState: { terminated: { exitCode: 137, reason: "OOMKilled" } } }),
      },
      { ...quiet, reason: "OOMKilled", message: "It ended with exit code 137." },
    ],
    [
      "whose record was cut off",
      { nodeName: "n" },
      {
        phase: "Running",
        ...container({ lastState: { terminated: { exitCode: 1, reason: "Error", message: "{cut" } } }),
      },
      { ...quiet, reason: "Error", message: "{cut" },
    ],
    [
      "that is done",
      { nodeName: "n" },
      { phase: "Succeeded", ...container({ state: { terminated: { exitCode: 0 } } }) },
      { ...quiet, removed: true },
    ],
    [
      "that is done beside a container that does not end",
      { nodeName: "n" },
      { phase: "Running", ...container({ state: { terminated: { exitCode: 0 } } }) },
      { ...quiet, removed: true },
    ],
    [
      "that was evicted",
      { nodeName: "n" },
      { phase: "Failed", message: "low on memory" },
      { ...quiet, failed: true, message: "low on memory" },
    ],
  ])("%s", (_, spec, podStatus, expected) => {
    const raw = { metadata: { name, uid: "r", creationTimestamp: at(0) }, spec, status: podStatus };
    expect(observeRemoval(raw)).toEqual({ name, uid: "r", createdAt: start, deletionRequested: false, ...expected });
  });
});
