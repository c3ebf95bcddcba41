import { describe, expect, test } from "vitest";
import { boundClaim, condition, decideOn, held, kinds, living, observedWith } from "../../test/observed-builder.ts";
import { at } from "../../test/pod-builder.ts";
import { type Fields, runUid, runWith } from "../../test/run-builder.ts";
import { settings } from "../../test/world.ts";
import type { AttemptEntry } from "../api/status.ts";
import type { TrainingRun } from "../api/training-run.ts";
import { expectedOf } from "./expected.ts";
import { judgeFork } from "./fork.ts";
import { placeOf } from "./fork-uri.ts";
import type { Observed, ObservedSource } from "./observed.ts";
import { trainingPod } from "./pod.ts";

const otherUid = "9d0c66d0-11a1-4a6e-8e0e-5f1a1f1d0b22";
const digest = `blake3:${"d".repeat(64)}`;
const directory = "step-000000000500-a0003";
const store = { endpoint: "https://s3.example.com", bucket: "checkpoints", credentialsSecretName: "s3" };
const shared = { volume: { claimName: "shared" } };
const sharedClaim = { ...boundClaim, claimName: "shared", runUid: null };
const chosen = { run: "other", step: 500 };
const choice = '{"run":"other","step":500}';

const other = (fields: Partial<Extract<ObservedSource, { kind: "Present" }>> = {}): ObservedSource => {
  return { kind: "Present", uid: otherUid, claimName: "shared", objectStore: null, ...fields };
};
const inBucket = (fields: Fields = {}) => {
  return other({
    claimName: null,
    objectStore: { endpoint: store.endpoint, bucket: "checkpoints", prefix: "a" },
    ...fields,
  });
};
const forking = (from: Fields, checkpoint: Fields, status: Fields = {}) =>
  runWith({ metadata: held, spec: { resume: { from }, checkpoint }, status });

/** What the next attempt of such a run is to copy, or the words of why none begins. */
function judged(observed: Partial<Observed> & { run: TrainingRun }) {
  const verdict = judgeFork(observedWith(observed), observed.run.status);
  return verdict.kind === "Wait" ? verdict.obstacle : verdict.kind === "Ready" ? verdict.source : null;
}

describe("another run's checkpoint", () => {
  test.each<[string, Fields, Fields, ObservedSource | undefined, Fields]>([
    ["on a claim that both name", chosen, shared, other(), { claim: "shared", step: 500 }],
    [
      "in a bucket that both have",
      chosen,
      { objectStore: { ...store, endpoint: `${store.endpoint}/`, prefix: "b" } },
      inBucket(),
      { bucket: "checkpoints", prefix: "a", step: 500 },
    ],
    [
      "at an address in the store",
      { uri: `s3://elsewhere/team/${otherUid}/data/${directory}`, digest },
      { objectStore: store },
      undefined,
      { bucket: "elsewhere", prefix: "team", directory, digest },
    ],
    [
      "at an address on a claim",
      { uri: `pvc://theirs/${otherUid}/data/${directory}/`, digest },
      shared,
      undefined,
      { claim: "theirs", directory, digest },
    ],
  ])("is found %s, and named by its run's uid", (_, from, checkpoint, source, found) => {
    const observed = { run: forking(from, checkpoint), ...(source === undefined ? {} : { source }) };
    expect(judged(observed)).toEqual({ uid: otherUid, since: 1, ...found });
  });

  test.each<[string, Fields, Fields, ObservedSource | undefined, string]>([
    ["whose run is not there", chosen, shared, { kind: "Absent" }, "there is no run other in this namespace"],
    ["whose run cannot be read", chosen, shared, { kind: "Unreadable", message: "no spec" }, "cannot be read: no spec"],
    ["of the run itself", { run: "mnist", step: 5 }, shared, undefined, "it names this run itself"],
    [
      "at an address of the run itself",
      { uri: `pvc://shared/${runUid}/data/${directory}`, digest },
      shared,
      undefined,
      "it names this run itself",
    ],
    ["that shares no tier", chosen, shared, other({ claimName: "theirs" }), "share neither a claim nor a bucket"],
    [
      "in a bucket of the same name elsewhere",
      chosen,
      { objectStore: { ...store, endpoint: "https://s3.example.org" } },
      inBucket(),
      "share neither a claim nor a bucket",
    ],
    [
      "in a store that the run does not have",
      { uri: `s3://b/${otherUid}/data/${directory}`, digest },
      shared,
      undefined,
      "needs spec.checkpoint.objectStore",
    ],
    ["at no address", { uri: "https://example.com/x", digest }, shared, undefined, "is not of the form s3://<bucket>"],
  ])("%s is waited for in words", (_, from, checkpoint, source, words) => {
    const run = forking(from, checkpoint);
    const decision = decideOn({ run, volume: sharedClaim, ...(source === undefined ? {} : { source }) });
    expect([kinds(decision), decision.status.attempts]).toEqual([[], undefined]);
    expect(condition(decision, "Progressing")).toMatchObject({
      status: "False",
      reason: "ResumePointMissing",
      message: expect.stringContaining(words),
    });
    expect(decision.requeueAfterMs).toBeLessThanOrEqual(15_000);
  });

  test("of a namesake is never taken for the one that had the name first", () => {
    const source = { uid: otherUid, claim: "shared", step: 500, since: 1 };
    const failed = { ...entryOf({ from: choice, source }), endTime: at(1), cause: "StorageUnavailable" };
    const run = forking(chosen, shared, { attempt: 1, attempts: [failed] });
    for (const now of [other({ uid: "another" }), { kind: "Absent" } as const])
      expect(judged({ run, source: now })).toEqual({ ...source, since: 2 });
    const opened = forking(chosen, shared, { attempt: 1, attempts: [{ ...failed, opened: true }] });
    expect(judged({ run: opened, source: other({ uid: "another" }) })).toMatchObject({ uid: "another" });
  });

  test("that is taken is not asked for again, and neither is one of the run's own", () => {
    const base = { step: 500, digest, sinceAttempt: 1, generation: 1, from: choice };
    expect(judged({ run: forking(chosen, shared, { base, attempt: 1 }), source: other() })).toBeNull();
    expect(judged({ run: forking({ step: 500 }, shared) })).toBeNull();
  });
});

describe("an attempt that is to copy one", () => {
  const source = { uid: otherUid, claim: "shared", step: 500, since: 1 };

  test("has its source in the ledger before its pod exists, and its restore is told of it", () => {
    const decision = decideOn({ run: forking(chosen, shared), volume: sharedClaim, source: other() });
    const [entry] = decision.status.attempts ?? [];
    expect(entry).toMatchObject({ number: 1, from: choice, source });
    expect(kinds(decision)).toContain("CreatePod");
    const told = { run: otherUid, checkpoint: { step: 500 }, volume: "/trainingrun/source", since: 1 };
    expect(entry && expectedOf(forking(chosen, shared), entry).base).toEqual({ source: told });
  });

  test("mounts the other run's directory for the agent alone, to be read", () => {
    const { agent, trainer, volumes } = podOf(forking(chosen, shared), source);
    const mount = { mountPath: "/trainingrun/source", subPath: otherUid, readOnly: true };
    expect(agent).toContainEqual({ name: "trainingrun-checkpoints", ...mount });
    expect(trainer.filter(({ mountPath }) => mountPath === "/trainingrun/source")).toEqual([]);
    expect(volumes.filter(({ persistentVolumeClaim }) => persistentVolumeClaim !== undefined)).toHaveLength(1);
    const apart = podOf(forking(chosen, shared), { ...source, claim: "theirs" });
    expect(apart.agent).toContainEqual({ name: "trainingrun-source", ...mount });
    expect(apart.volumes).toContainEqual({
      name: "trainingrun-source",
      persistentVolumeClaim: { claimName: "theirs" },
    });
  });

  test("asks the run's own endpoint, with the other run's prefix, for an object", () => {
    const run = forking(chosen, { objectStore: { ...store, region: "eu", prefix: "own" } });
    const from = { uid: otherUid, bucket: "checkpoints", prefix: "/a/", directory, digest, since: 2 };
    expect(expectedOf(run, entryOf({ from: "{}", source: from })).base).toEqual({
      source: {
        run: otherUid,
        checkpoint: { directory, digest },
        objectStore: { endpoint: store.endpoint, bucket: "checkpoints", prefix: "a", region: "eu" },
        since: 2,
      },
    });
  });

  test("takes no step of the run's own where its source was lost from the status", () => {
    expect(expectedOf(forking(chosen, shared), entryOf({ from: choice })).base).toEqual({});
  });

  const missing = { endTime: at(1), cause: "NoVerifiedCheckpoint", message: "step 500 is not among them" };
  test("and finds none waits in words, until somebody edits the run", () => {
    const entry = entryOf({ from: choice, source, ...missing });
    const run = forking(chosen, shared, { attempt: 1, attempts: [entry] });
    const waiting = decideOn({ run, volume: sharedClaim, source: other() });
    expect(kinds(waiting)).toEqual([]);
    expect(condition(waiting, "Progressing")).toMatchObject({
      reason: "ResumePointMissing",
      message: expect.stringMatching(/back to false to look again. step 500 is not among them$/),
    });
    const edited = { ...run, metadata: { ...run.metadata, generation: 3 } };
    const again = decideOn({ run: edited, volume: sharedClaim, source: other() });
    expect(again.status.attempts?.[0]).toMatchObject({ number: 2, source: { ...source, since: 2 } });
  });

  test("and of which nobody heard leaves it to the next one's log whether it was taken", () => {
    const base = { sinceAttempt: 1, generation: 1, from: choice };
    const unheard = entryOf({ from: choice, source, endTime: at(1), cause: "NodeLost" });
    const run = forking(chosen, shared, { attempt: 1, base, attempts: [unheard] });
    const [next] = decideOn({ run, volume: sharedClaim }).status.attempts ?? [];
    expect([next?.number, next?.from, next?.source]).toEqual([2, undefined, source]);
    const heard = forking(chosen, shared, { attempt: 1, base, attempts: [{ ...unheard, opened: true }] });
    expect(decideOn({ run: heard, volume: sharedClaim }).status.attempts?.[0]).not.toHaveProperty("source");
  });
});

describe("the address of a checkpoint", () => {
  const found = { uid: otherUid, directory, bucket: "b", prefix: "" };
  test.each<[string, ReturnType<typeof placeOf>]>([
    [`s3://b/${otherUid}/data/${directory}`, found],
    [`https://s3.example.com/b/x/y/${otherUid}/data/${directory}/`, { ...found, prefix: "x/y" }],
  ])("%s is read", (uri, place) => {
    expect(placeOf(uri, "https://s3.example.com/")).toEqual(place);
  });

  test.each([
    `s3://b/${otherUid}/log/${directory}`,
    `s3://b/${otherUid}/data/.saving-500-a3-00`,
    `s3://b/../data/${directory}`,
    `pvc://claim/deep/${otherUid}/data/${directory}`,
    `s3://${"b".repeat(64)}/${otherUid}/data/${directory}`,
    `https://elsewhere.example.com/b/${otherUid}/data/${directory}`,
  ])("%s is refused", (uri) => {
    expect(placeOf(uri, "https://s3.example.com")).toContain(`the address ${uri} is not of the form`);
  });
});

function entryOf(fields: Fields): AttemptEntry {
  const [entry] = living({ entry: { pods: [], ...fields } }).status.attempts ?? [];
  if (entry === undefined) throw new Error("The run of the test has an attempt");
  return entry;
}

type Mount = { name: string; mountPath: string };
type Volume = { name: string; persistentVolumeClaim?: unknown };

function podOf(run: TrainingRun, source: Fields) {
  const pod = trainingPod({ run, entry: entryOf({ from: choice, source }), worker: 0, settings, avoidNodes: [] });
  const spec = pod.spec as {
    volumes: Volume[];
    initContainers: [{ volumeMounts: Mount[] }];
    containers: [{ volumeMounts: Mount[] }];
  };
  const [{ volumeMounts: agent }] = spec.initContainers;
  const [{ volumeMounts: trainer }] = spec.containers;
  return { agent, trainer, volumes: spec.volumes };
}
