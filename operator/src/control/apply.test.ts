import { beforeEach, describe, expect, it } from "vitest";
import { rawPod } from "../../test/pod-builder.ts";
import { runWith, storedRun } from "../../test/run-builder.ts";
import { type Asked, patched, type Scripted, scriptedClient } from "../../test/scripted-client.ts";
import { finalSaveFinalizer, labels } from "../api/names.ts";
import type { TrainingRunStatus } from "../api/status.ts";
import type { Action, Manifest } from "../core/decision.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { OldPictureError } from "../kubernetes/writes.ts";
import { type Applied, apply } from "./apply.ts";
import { DroppedFields } from "./kept-fields.ts";

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
  dropped: new DroppedFields(),
  now: () => 0,
});

describe("before something is created", () => {
  let now: KubeObject;
  let asked: string[];

  beforeEach(() => {
    now = raw;
    asked = [];
  });

  function answer(question: Asked): Scripted {
    const { method, path } = question;
    asked.push(`${method} ${path.split("?")[0]?.split("/").at(-1)}`);
    return { status: 200, body: method === "POST" ? { metadata: { namespace: "team" } } : patched(now, question) };
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

  /** What comes of it where one stands at worker 0's name, and none at the others'. */
  async function adoptedIn(
    found: object,
    {
      status = {},
      actions = [createPod],
      mends = 200,
      refused = [],
      refusals = 403,
    }: {
      status?: TrainingRunStatus;
      actions?: Action[];
      mends?: number;
      refused?: readonly string[];
      refusals?: number;
    },
  ): Promise<Readonly<{ asked: string[]; sent: unknown; applied: Applied }>> {
    const asked: string[] = [];
    let sent: unknown;
    const client = scriptedClient((question) => {
      const { method, path, body } = question;
      asked.push(`${method} ${path.split("?")[0]?.split("/").at(-1)}`);
      if (path.includes("/trainingruns/")) return { status: 200, body: patched(raw, question) };
      if (method === "POST") {
        const { name } = (body as KubeObject).metadata;
        if (refused.includes(name)) return { status: refusals, body: { kind: "Status", message: "exceeded quota" } };
        const isTaken = name === "mnist-1-0";
        return { status: isTaken ? 409 : 201, body: isTaken ? { kind: "Status", reason: "AlreadyExists" } : body };
      }
      if (method !== "PATCH") return { status: 200, body: found };
      sent = body;
      return { status: mends, body: mends === 200 ? found : { kind: "Status", message: "denied the request" } };
    });
    const decision = { status, actions, events: [] };
    const applied = await apply({ run: runWith(), raw, decision }, deafWriters(client), bound);
    return { asked: asked.slice(1), sent, applied };
  }

  async function adopted(found: object): Promise<Readonly<{ asked: string[]; sent: unknown; stopped: unknown }>> {
    const { asked, sent, applied } = await adoptedIn(found, {});
    return { asked, sent, stopped: applied.stopped?.refusal?.reason };
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

  it("which has back what its queue knows it by, too", async () => {
    const queue = { name: "gpus", group: "mnist-0123abcd-1" };
    const entry = { number: 1, generation: 1, workers: 2, queue, pods: [], startTime: "2026-01-01T00:00:00Z" };
    const { sent } = await adoptedIn(standing({ labels: undefined }), { status: { attempt: 1, attempts: [entry] } });
    const group = { "kueue.x-k8s.io/queue-name": "gpus", "kueue.x-k8s.io/pod-group-name": "mnist-0123abcd-1" };
    const annotations = {
      "kueue.x-k8s.io/pod-group-total-count": "2",
      "kueue.x-k8s.io/retriable-in-group": "false",
    };
    expect(sent).toMatchObject({ metadata: { labels: { ...marks, ...group }, annotations } });
  });

  it("which keeps no other pod from being made, though nobody takes what it lacks", async () => {
    const second = { ...createPod, manifest: manifest("Pod", "mnist-1-1"), worker: 1 } as const;
    const actions = [createPod, second];
    const { asked, applied } = await adoptedIn(standing({ labels: undefined }), { actions, mends: 403 });
    expect(asked).toEqual(["POST pods", "GET mnist-1-0", "POST pods", "GET mnist-1-0", "PATCH mnist-1-0"]);
    expect([applied.done, applied.stopped]).toEqual([actions, undefined]);
    expect(String(applied.unmended)).toContain("denied the request");
  });

  it("which has back what it lacks though another is refused, for as long as that may be", async () => {
    const second = { ...createPod, manifest: manifest("Pod", "mnist-1-1"), worker: 1 } as const;
    const actions = [createPod, second, { ...createPod, manifest: manifest("Pod", "mnist-1-2"), worker: 2 } as const];
    const { asked, applied } = await adoptedIn(standing({ labels: undefined }), { actions, refused: ["mnist-1-1"] });
    expect(asked).toEqual(["POST pods", "GET mnist-1-0", "POST pods", "GET mnist-1-0", "PATCH mnist-1-0"]);
    expect([applied.done.map(({ kind }) => kind), applied.unmended]).toEqual([["CreatePod", "MendPod"], undefined]);
    expect(applied.stopped?.refusal).toMatchObject({ name: "mnist-1-1", status: 403 });
  });

  it("which is told of beside the refusal of another, where nobody takes what it lacks", async () => {
    const second = { ...createPod, manifest: manifest("Pod", "mnist-1-1"), worker: 1 } as const;
    const options = { actions: [createPod, second], refused: ["mnist-1-1"], mends: 403 };
    const { applied } = await adoptedIn(standing({ labels: undefined }), options);
    expect(applied.stopped?.refusal?.name).toBe("mnist-1-1");
    expect(String(applied.unmended)).toContain("denied the request");
  });

  it("which has nothing written on it once the server is away", async () => {
    const second = { ...createPod, manifest: manifest("Pod", "mnist-1-1"), worker: 1 } as const;
    const options = { actions: [createPod, second], refused: ["mnist-1-1"], refusals: 503 };
    const { asked, applied } = await adoptedIn(standing({ labels: undefined }), options);
    expect(asked).toEqual(["POST pods", "GET mnist-1-0", "POST pods"]);
    expect([applied.stopped?.refusal, applied.unmended]).toEqual([undefined, undefined]);
  });

  it("which is left alone where somebody has taken it over, and is told what to do", async () => {
    const { applied } = await adoptedIn(standing({ ownerReferences: [{ ...owner, uid: "their-uid" }] }), {});
    expect(applied.stopped?.refusal).toMatchObject({
      status: 409,
      message:
        "Cannot create Pod team/mnist-1-0 because another object has that name: uid pod-1. Somebody made the object with uid their-uid the owner of the pod mnist-1-0: take that out of its ownerReferences. Until then no other attempt follows this one.",
    });
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
