import { beforeEach, describe, expect, it } from "vitest";
import { rawPod } from "../../test/pod-builder.ts";
import { runWith, storedRun } from "../../test/run-builder.ts";
import { type Asked, type Scripted, scriptedClient } from "../../test/scripted-client.ts";
import { finalSaveFinalizer, labels } from "../api/names.ts";
import type { TrainingRunStatus } from "../api/status.ts";
import type { Action, Manifest } from "../core/decision.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { OldPictureError } from "../kubernetes/writes.ts";
import { type Applied, apply } from "./apply.ts";

const bound = { signal: new AbortController().signal };
const raw = storedRun() as KubeObject;
const { uid } = raw.metadata;
const manifest = (kind: string, name: string): Manifest => ({
  apiVersion: "v1",
  kind,
  metadata: { name, namespace: "team" },
});
const createClaim: Action = { kind: "CreateClaim", manifest: manifest("PersistentVolumeClaim", "data") };
const createPod: Action = { kind: "CreatePod", manifest: manifest("Pod", "mnist-1-0"), attempt: 1, worker: 0 };

/** Writers that nobody hears of. */
const deafWriters = (client: ReturnType<typeof scriptedClient>) => ({
  client,
  written: () => undefined,
  created: () => undefined,
  statusWritten: () => undefined,
  now: () => 0,
});

describe("before something is created", () => {
  let now: KubeObject;
  let asked: string[];

  beforeEach(() => {
    now = raw;
    asked = [];
  });

  function answer({ method, path }: Asked): Scripted {
    asked.push(`${method} ${path.split("/").slice(-1)[0]}`);
    return { status: 200, body: method === "POST" ? { metadata: { namespace: "team" } } : now };
  }

  function applied(actions: readonly Action[], status: TrainingRunStatus = {}): Promise<Applied> {
    const writers = deafWriters(scriptedClient(answer));
    return apply({ run: runWith(), raw, decision: { status, actions, events: [] } }, writers, bound);
  }

  it("the run is read again where its status had not to be written", async () => {
    const { done } = await applied([createClaim, createPod]);
    expect([asked, done]).toEqual([
      ["GET mnist", "POST persistentvolumeclaims", "POST pods"],
      [createClaim, createPod],
    ]);
  });

  it.each([
    ["has changed", { resourceVersion: "2" }],
    ["was made anew", { uid: "another" }],
  ])("the picture is found to be old where the run %s meanwhile", async (_, metadata) => {
    now = storedRun({ metadata }) as KubeObject;
    const { done, stopped } = await applied([createPod]);
    expect([asked, done, stopped?.error]).toEqual([["GET mnist"], [], expect.any(OldPictureError)]);
  });

  it("a status that was written is proof enough", async () => {
    await applied([createPod], { attempt: 1 });
    expect(asked).toEqual(["PATCH status", "POST pods"]);
  });

  it("a finalizer that was put on is proof enough", async () => {
    now = storedRun({ metadata: { finalizers: [finalSaveFinalizer], resourceVersion: "2" } }) as KubeObject;
    await applied([{ kind: "HoldRun" }, createClaim]);
    expect(asked).toEqual(["PATCH mnist", "POST persistentvolumeclaims"]);
  });
});

describe("a claim is deleted", () => {
  const claim = (owner: string): KubeObject => ({
    metadata: { name: "data", namespace: "team", uid: "c1", resourceVersion: "7", labels: { [labels.runUid]: owner } },
  });
  const rows: readonly [name: string, found: KubeObject | undefined, asked: unknown[], done: number][] = [
    [
      "exactly as it says that it is the run's",
      claim(uid),
      ["GET", { apiVersion: "v1", kind: "DeleteOptions", preconditions: { uid: "c1", resourceVersion: "7" } }],
      1,
    ],
    ["not where it was given to another", claim("another"), ["GET"], 0],
    ["by nobody where it is gone", undefined, ["GET"], 1],
    ["by nobody where another has its name", { metadata: { ...claim(uid).metadata, uid: "c2" } }, ["GET"], 1],
  ];
  it.each(rows)("%s", async (_, found, expected, count) => {
    const asked: unknown[] = [];
    const client = scriptedClient(({ method, body }) => {
      asked.push(body ?? method);
      return { status: found === undefined ? 404 : 200, body: found ?? {} };
    });
    const writers = deafWriters(client);
    const actions: readonly Action[] = [{ kind: "DeleteClaim", name: "data", uid: "c1" }];
    const { done } = await apply(
      { run: runWith(), raw, decision: { status: {}, actions, events: [] } },
      writers,
      bound,
    );
    expect([asked, done.length]).toEqual([expected, count]);
  });
});

describe("a pod is deleted exactly as it was decided on", () => {
  const preconditions = { uid: "p1" };
  const rows: readonly [name: string, action: Action, options: Record<string, unknown>][] = [
    ["with its own grace period", { kind: "DeletePod", name: "mnist-1-0", uid: "p1" }, {}],
    [
      "by force, where it was given up",
      { kind: "DeletePod", name: "mnist-1-0", uid: "p1", force: true },
      { gracePeriodSeconds: 0 },
    ],
  ];
  it.each(rows)("%s", async (_, action, options) => {
    const asked: unknown[] = [];
    const client = scriptedClient(({ method, path, body }) => {
      asked.push([method, path, body]);
      return { status: 200, body: { metadata: {} } };
    });
    const writers = deafWriters(client);
    await apply({ run: runWith(), raw, decision: { status: {}, actions: [action], events: [] } }, writers, bound);
    const path = "/api/v1/namespaces/team/pods/mnist-1-0";
    expect(asked).toEqual([["DELETE", path, { apiVersion: "v1", kind: "DeleteOptions", ...options, preconditions }]]);
  });
});

describe("a pod is created under a name at which one stands", () => {
  const marks = { [labels.run]: "mnist", [labels.runUid]: uid, [labels.attempt]: "1", [labels.worker]: "0" };
  const owner = { apiVersion: "trainingrun.dev/v1alpha1", kind: "TrainingRun", name: "mnist", uid, controller: true };
  const standing = (metadata: Record<string, unknown>) =>
    rawPod({ metadata: { namespace: "team", labels: marks, ownerReferences: [owner], ...metadata } });

  async function adopted(found: object): Promise<Readonly<{ asked: string[]; sent: unknown; stopped: unknown }>> {
    const asked: string[] = [];
    let sent: unknown;
    const client = scriptedClient(({ method, path, body }) => {
      asked.push(`${method} ${path.split("/").at(-1)}`);
      if (method === "POST") return { status: 409, body: { kind: "Status", reason: "AlreadyExists" } };
      if (path.endsWith("/trainingruns/mnist")) return { status: 200, body: raw };
      if (method === "PATCH") sent = body;
      return { status: 200, body: found };
    });
    const decision = { status: {}, actions: [createPod], events: [] };
    const { stopped } = await apply({ run: runWith(), raw, decision }, deafWriters(client), bound);
    return { asked: asked.slice(1), sent, stopped: stopped?.refusal?.reason };
  }

  it("which counts where it is the one that was created before", async () => {
    expect(await adopted(standing({}))).toEqual({ asked: ["POST pods", "GET mnist-1-0"] });
  });

  const mendings: readonly [title: string, metadata: Record<string, unknown>][] = [
    ["all of its labels", { labels: undefined }],
    ["the number of its attempt", { labels: { ...marks, [labels.attempt]: "77" } }],
    ["its owner", { ownerReferences: undefined }],
  ];
  it.each(mendings)("which counts, and has it back, where somebody took %s", async (_, metadata) => {
    const { asked, sent, stopped } = await adopted(standing(metadata));
    expect([asked, stopped]).toEqual([["POST pods", "GET mnist-1-0", "GET mnist-1-0", "PATCH mnist-1-0"], undefined]);
    expect(sent).toMatchObject({ metadata: { uid: "pod-1", resourceVersion: "7", labels: marks } });
  });

  const foreign: readonly [title: string, metadata: Record<string, unknown>][] = [
    ["another controls", { ownerReferences: [{ ...owner, uid: "another" }] }],
    [
      "nobody controls, and that is of another attempt",
      { ownerReferences: [], labels: { ...marks, [labels.attempt]: "2" } },
    ],
    [
      "nobody controls, and that is of another run",
      { ownerReferences: [], labels: { ...marks, [labels.runUid]: "x" } },
    ],
  ];
  it.each(foreign)("which is left alone where it is one that %s", async (_, metadata) => {
    const { asked, stopped } = await adopted(standing(metadata));
    expect([asked, stopped]).toEqual([["POST pods", "GET mnist-1-0"], "AlreadyExists"]);
  });
});
